"""The unit file of an engine: what systemd reads in it, and whose file it is."""

import subprocess
from pathlib import Path

import pytest

from dockerlab.client.service import MARK, Service, install, service_of, uninstall
from dockerlab.config import load_settings
from dockerlab.errors import Conflict, EngineFailure, InvalidArgument, Unsupported


def service(
    tmp_path: Path, *, uid: int = 1000, root: str = "", mirrors: tuple[str, ...] = ()
) -> Service:
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    settings = load_settings(environ, root=root or None, mirrors=mirrors, uid=uid)
    return service_of(settings, environ, uid=uid, system_units=tmp_path / "system")


def test_a_users_unit_lies_in_the_users_configuration(tmp_path: Path) -> None:
    unit = service(tmp_path)

    assert unit.path == tmp_path / "config" / "systemd" / "user" / "dockerlab.service"
    assert not unit.is_system
    assert "WantedBy=default.target" in unit.text
    assert unit.enable_command == (
        "systemctl --user daemon-reload && systemctl --user enable --now dockerlab.service"
    )


def test_roots_unit_is_the_machines(tmp_path: Path) -> None:
    unit = service(tmp_path, uid=0)

    assert unit.path == tmp_path / "system" / "dockerlab.service"
    assert "WantedBy=multi-user.target" in unit.text


def test_another_data_root_has_another_unit(tmp_path: Path) -> None:
    one, other = service(tmp_path, root="/srv/a"), service(tmp_path, root="/srv/b")

    assert len({service(tmp_path).path, one.path, other.path}) == 3


def test_it_runs_the_engine_in_the_foreground_and_again_when_it_fails(tmp_path: Path) -> None:
    unit = service(tmp_path, root="/srv/lab", mirrors=("http://127.0.0.1:5000",))
    [command] = [line for line in unit.text.splitlines() if line.startswith("ExecStart=")]

    assert "Type=simple" in unit.text
    assert "Restart=on-failure" in unit.text
    assert "-m dockerlab engine start --foreground --root /srv/lab --socket " in command
    assert command.endswith("--mirror http://127.0.0.1:5000")
    # The containers' monitors are in its cgroup.
    assert "KillMode=process" in unit.text


@pytest.mark.needs_systemd
@pytest.mark.parametrize("uid", [0, 1000])
def test_systemd_takes_it_with_the_oddest_of_paths(tmp_path: Path, uid: int) -> None:
    unit = service(tmp_path, uid=uid, root='/srv/a b/100%/$HOME/it\'s "here"\\')
    path = tmp_path / "dockerlab-test.service"
    path.write_text(unit.text)

    kind = "--system" if uid == 0 else "--user"
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", kind, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )

    assert (told.returncode, told.stderr) == (0, "")


def test_a_line_break_in_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="unit file"):
        service(tmp_path, root="/srv/a\nExecStartPre=/bin/evil")


def test_it_is_written_once_and_removed_once(tmp_path: Path) -> None:
    unit = service(tmp_path)

    assert install(unit, booted=tmp_path)
    assert unit.path.read_text() == unit.text
    assert not install(unit, booted=tmp_path)
    assert [path.name for path in unit.path.parent.iterdir()] == ["dockerlab.service"]
    assert uninstall(unit)
    assert not uninstall(unit)


def test_an_older_unit_of_ours_is_replaced(tmp_path: Path) -> None:
    unit = service(tmp_path)
    unit.path.parent.mkdir(parents=True)
    unit.path.write_text(f"{MARK}\n[Unit]\n")

    assert install(unit, booted=tmp_path)
    assert unit.path.read_text() == unit.text


def test_somebody_elses_unit_is_left_alone(tmp_path: Path) -> None:
    unit = service(tmp_path)
    unit.path.parent.mkdir(parents=True)
    unit.path.write_text("[Unit]\n")

    with pytest.raises(Conflict, match="not written by dockerlab"):
        install(unit, booted=tmp_path)
    with pytest.raises(Conflict, match="not written by dockerlab"):
        uninstall(unit)
    assert unit.path.read_text() == "[Unit]\n"


def test_where_systemd_does_not_run_nothing_is_written(tmp_path: Path) -> None:
    unit = service(tmp_path)

    with pytest.raises(Unsupported, match="systemd does not run this machine") as caught:
        install(unit, booted=tmp_path / "none")

    assert "--print" in caught.value.hint
    assert not unit.path.exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file")

    with pytest.raises(EngineFailure, match=r"cannot (read|write) the unit"):
        install(service(tmp_path), booted=tmp_path)
