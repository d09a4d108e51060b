"""Settings from the command line, the environment and config.toml."""

from pathlib import Path

import pytest

from dockerlab.config import MAX_SOCKET_PATH_BYTES, config_path, load_settings
from dockerlab.errors import InvalidArgument


def environ_with(tmp_path: Path, text: str) -> dict[str, str]:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    path = config_path(environ)
    path.parent.mkdir()
    path.write_text(text)
    return environ


def test_root_uses_the_system_folders(tmp_path: Path) -> None:
    settings = load_settings({"HOME": str(tmp_path)}, uid=0)
    assert settings.data_root == Path("/var/lib/dockerlab")
    assert settings.runtime_dir.parent == Path("/run/dockerlab")
    assert settings.socket_path == settings.runtime_dir / "engine.sock"
    assert len(settings.runtime_dir.name) == 8


def test_a_user_gets_the_xdg_folders() -> None:
    environ = {"HOME": "/home/u", "XDG_DATA_HOME": "/d", "XDG_RUNTIME_DIR": "/run/user/7"}
    settings = load_settings(environ, uid=7)
    assert settings.data_root == Path("/d/dockerlab")
    assert settings.runtime_dir.parent == Path("/run/user/7/dockerlab")


def test_without_a_runtime_folder_the_temp_folder_is_used_with_the_uid_in_its_name() -> None:
    settings = load_settings({"HOME": "/home/u", "TMPDIR": "/var/tmp"}, uid=7)
    assert settings.data_root == Path("/home/u/.local/share/dockerlab")
    assert settings.runtime_dir.parent == Path("/var/tmp/dockerlab-7")


def test_two_roots_have_two_sockets() -> None:
    one = load_settings({}, root="/srv/one")
    two = load_settings({}, root="/srv/two")
    assert one.socket_path != two.socket_path


def test_an_argument_wins_over_the_environment() -> None:
    environ = {"DOCKERLAB_ROOT": "/env", "DOCKERLAB_SOCKET": "/env.sock"}
    assert load_settings(environ).data_root == Path("/env")
    assert load_settings(environ).socket_path == Path("/env.sock")
    settings = load_settings(environ, root="/arg", socket="unix:///arg.sock")
    assert settings.data_root == Path("/arg")
    assert settings.socket_path == Path("/arg.sock")


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings({}, root="lab").data_root == tmp_path / "lab"


def test_the_file_is_read(tmp_path: Path) -> None:
    environ = environ_with(
        tmp_path,
        'mirrors = ["http://127.0.0.1:5000/"]\n'
        'insecure-registries = ["lab:5000"]\n'
        'fallback = false\nidle-exit = 60\ncgroup_parent = "/lab/alice"\n',
    )
    settings = load_settings(environ)
    assert settings.mirrors == ("http://127.0.0.1:5000",)
    assert settings.insecure_registries == ("lab:5000",)
    assert settings.fallback is False
    assert settings.idle_exit_s == 60.0
    assert settings.cgroup_parent == "/lab/alice"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    environ = environ_with(tmp_path, 'mirrors = ["http://a"]\nfallback = false\nidle-exit = 60\n')
    environ |= {
        "DOCKERLAB_MIRRORS": "http://b, http://c",
        "DOCKERLAB_FALLBACK": "1",
        "DOCKERLAB_IDLE_EXIT": "0",
    }
    settings = load_settings(environ)
    assert settings.mirrors == ("http://b", "http://c")
    assert settings.fallback is True
    assert settings.idle_exit_s == 0.0
    assert load_settings(environ, mirrors=["http://d"]).mirrors == ("http://d",)


@pytest.mark.parametrize(
    "text",
    [
        "mirrors = 3",
        "mirrors = [3]",
        'mirrors = ["127.0.0.1:5000"]',
        'fallback = "maybe"',
        "idle-exit = -1",
        "idle-exit = true_",
        "colour = 1",
        'cgroup_parent = "lab"',
        'cgroup_parent = "/lab/../other"',
        'cgroup_parent = "/lab/"',
        "cgroup_parent = 5",
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidArgument):
        load_settings(environ_with(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "value"), [("DOCKERLAB_FALLBACK", "maybe"), ("DOCKERLAB_IDLE_EXIT", "soon")]
)
def test_a_wrong_variable_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidArgument, match=value):
        load_settings({name: value})


def test_a_socket_path_that_the_kernel_cannot_hold_is_refused() -> None:
    longest = "/" + "s" * (MAX_SOCKET_PATH_BYTES - 1)
    assert load_settings({}, socket=longest).socket_path == Path(longest)
    with pytest.raises(InvalidArgument, match="107 bytes"):
        load_settings({}, socket=longest + "s")
