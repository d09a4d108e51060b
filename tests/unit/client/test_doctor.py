"""The host is examined in a process of its own, and its failures are sentences."""

import pytest

from dockerlab.client.doctor import examine_host
from dockerlab.errors import EngineFailure


def test_the_report_is_a_value() -> None:
    report = examine_host()

    assert report["tier"]["name"]
    assert {row["ability"] for row in report["abilities"]} >= {"sys_admin", "overlay", "ptrace"}


def test_a_process_that_fails_is_a_sentence_with_its_last_line() -> None:
    with pytest.raises(EngineFailure, match=r"cannot examine this host: .*--nonsense"):
        examine_host(["--nonsense"])
