"""The doctor on hosts that give less, each a real process from which something was taken away."""

import pytest

from tests.hosts.page import PAGE, page, this_machine
from tests.hosts.report import Report
from tests.hosts.simulated import HOSTS, examine
from tests.support.probes import why_not

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_namespaces, pytest.mark.needs_overlay]


def _refused(report: Report) -> dict[str, Report]:
    return {row["ability"]: row for row in report["abilities"] if not row["ok"]}


def _check_tools(name: str) -> None:
    markers = {"proot": "needs_proot", "newuidmap": "needs_newuidmap"}
    for tool in HOSTS[name].tools:
        if tool in markers and (reason := why_not(markers[tool])):
            pytest.skip(f"{markers[tool]}: {reason}")


@pytest.mark.parametrize("name", HOSTS)
def test_the_tier_is_what_the_host_gives(name: str) -> None:
    _check_tools(name)
    report = examine(name)

    assert report["tier"]["name"] == HOSTS[name].tier, report["tier"]["reason"]
    assert set(HOSTS[name].lacks) <= set(_refused(report))


@pytest.mark.parametrize("name", HOSTS)
def test_every_no_has_a_reason_and_a_remedy(name: str) -> None:
    _check_tools(name)

    for row in _refused(examine(name)).values():
        assert row["reason"]
        assert row["remedy"]


def test_what_is_taken_away_is_all_that_is_missed() -> None:
    plain = set(_refused(examine("root")))

    for name in ("read-only-cgroups", "no-shm"):
        assert set(_refused(examine(name))) - plain == set(HOSTS[name].lacks)


def test_the_kernel_s_reason_is_told_by_name() -> None:
    assert _refused(examine("read-only-cgroups"))["cgroups"]["errno"] == "EROFS"
    assert _refused(examine("no-user-namespaces"))["user_namespace"]["errno"] == "EPERM"
    assert _refused(examine("no-xattrs"))["user_attributes"]["errno"] == "ENOTSUP"


def test_apparmor_gets_the_profile_for_the_real_interpreter_and_others_get_none() -> None:
    report = examine("apparmor")

    python = report["host"]["python"]
    assert f' "{python}" flags=(unconfined) {{\n  userns,\n' in report["apparmor_profile"]
    assert report["apparmor_commands"][-1].startswith("sudo apparmor_parser --replace /etc/")
    assert "AppArmor profile" in _refused(report)["single_id"]["remedy"]
    assert examine("no-user-namespaces")["apparmor_profile"] == ""


def test_the_page_of_hosts_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in HOSTS:
        _check_tools(name)
    if f"The machine: {this_machine()}." not in text:
        pytest.skip(f"docs/hosts.md is of another machine than {this_machine()}")

    assert page({name: examine(name) for name in HOSTS}) == text, "python -m tests.hosts"
