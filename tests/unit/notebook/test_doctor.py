"""%doctor: the table, and before it the AppArmor profile where that is what is missing."""

from typing import Any

import pytest

from dockerlab.notebook.commands import DOCTOR
from dockerlab.notebook.connection import Connection
from dockerlab.notebook.declaring import Lab
from dockerlab.notebook.magics import system

ROW = {"title": "one id", "ok": False, "reason": "EPERM", "errno": "EPERM", "remedy": "load it"}


@pytest.mark.parametrize("profile", ["", "profile x {\n  userns,\n}\n"])
def test_a_profile_that_is_wanted_is_shown_with_its_commands(
    profile: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def examine(arguments: list[str]) -> dict[str, Any]:
        asked.append(arguments)
        tier = {"name": "look only", "reason": "r", "gives": "g"}
        commands = ["sudo apparmor_parser --replace x"] if profile else []
        report = {"tier": tier, "abilities": [ROW], "features": [], "apparmor_commands": commands}
        return {**report, "apparmor_profile": profile}

    # The host that wants one is simulated in tests/hosts; here is what the cell shows of it.
    monkeypatch.setattr(system, "examine_host", examine)

    table = system.doctor(Lab(Connection()), DOCTOR.parse("--network"))

    said = capsys.readouterr().out
    assert asked == [["--network"]]
    assert table["can"].tolist() == [False]
    assert ("userns," in said) == ("apparmor_parser" in said) == bool(profile)
