"""What the doctor says: remedies, the AppArmor profile, and both forms of its report."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dockerlab import doctor
from dockerlab.runtime.probes.asking import Ability, Host
from dockerlab.runtime.probes.kernelfacts import KernelFacts
from dockerlab.runtime.probes.registry import PROBES
from dockerlab.runtime.tier import choose

HOST = Host("/data", "/usr/bin/python3", "/usr/bin")
HEAVY = ("pandas", "numpy", "docker", "tornado", "msgspec", "IPython", "urllib3", "asyncio")


def abilities(**no: dict[str, object]) -> dict[str, Ability]:
    return {
        probe.name: Ability(probe.name, probe.name not in no, "why", "", no.get(probe.name, {}))
        for probe in PROBES
    }


def reported(found: dict[str, Ability]) -> dict[str, Any]:
    return doctor.report(list(found.values()), HOST, choose(found), KernelFacts())


def told(name: str, **no: dict[str, object]) -> str:
    found = abilities(**no)
    return doctor.remedy(name, found, choose(found))


def test_what_the_tier_does_without_is_not_to_be_lifted() -> None:
    assert told("sub_ids", sub_ids={}) == "not needed in the tier rootful"
    assert told("proot", sys_admin={}, proot={}) == "not needed in the tier rootless"


def test_a_missing_program_is_a_package_and_a_missing_range_a_command() -> None:
    assert "apt install uidmap" in told("sub_ids", sys_admin={}, sub_ids={"lacks": "program"})
    assert "usermod --add-subuids" in told("sub_ids", sys_admin={}, sub_ids={"lacks": "range"})


def test_what_follows_from_another_no_points_to_it() -> None:
    no: dict[str, dict[str, object]] = {"sys_admin": {}, "user_namespace": {}, "single_id": {}}

    assert told("proc", **no, proc={}) == 'what lifts "user namespaces"'
    assert "max_user_namespaces" in told("user_namespace", **no)


@pytest.mark.parametrize("name", [probe.name for probe in PROBES])
def test_every_no_has_a_remedy(name: str) -> None:
    assert told(name, **{name: {}})
    assert told(name, sys_admin={}, **({} if name == "sys_admin" else {name: {}}))


def test_apparmors_restriction_gets_the_profile_and_its_commands() -> None:
    found = abilities(sys_admin={}, single_id={"apparmor": True})

    report = reported(found)

    assert report["apparmor_profile"] == doctor.apparmor_profile("/usr/bin/python3")
    assert "AppArmor" in next(
        row["remedy"] for row in report["abilities"] if row["ability"] == "single_id"
    )
    assert report["apparmor_profile"] in doctor.to_text(report)
    assert reported(abilities())["apparmor_profile"] == ""


def test_the_profile_is_for_the_file_behind_the_link(tmp_path: Path) -> None:
    real = tmp_path / "py[3]"
    real.touch()
    (tmp_path / "python").symlink_to(real)

    profile = doctor.apparmor_profile(str(tmp_path / "python"))

    path = str(real.resolve()).replace("[", "\\[").replace("]", "\\]")
    assert f'"{path}" flags=(unconfined) {{\n  userns,\n' in profile


def test_the_text_has_a_mark_a_reason_and_the_tier() -> None:
    text = doctor.to_text(reported(abilities(cgroups={})))

    assert any(line.startswith("✘ limits by cgroups") for line in text.splitlines())
    assert "tier:   rootful" in text.splitlines()


def test_nothing_but_the_standard_library_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; from dockerlab import doctor\n"
        f"doctor.main(['--json', '--root', {str(tmp_path)!r}])\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == "[]"
    report = json.loads(done.stdout)
    assert [row["ability"] for row in report["abilities"]] == [probe.name for probe in PROBES]
    assert list(tmp_path.iterdir()) == []


def test_the_command_hands_its_flags_on(capfd: pytest.CaptureFixture[str]) -> None:
    from dockerlab.cli import main

    assert main(["doctor", "--apparmor-profile"]) == 0
    assert "userns," in capfd.readouterr().out
    assert main(["doctor", "--nonsense"]) == 2
    assert "usage: dockerlab doctor" in capfd.readouterr().err
