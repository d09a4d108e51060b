"""--runtime."""

import pytest

from dockerlab.engine.runtimes import Runtimes, find_runtimes
from dockerlab.errors import InvalidArgument, Unsupported


def test_ours_is_the_default_and_has_a_name() -> None:
    runtimes = Runtimes({"runc": "/usr/sbin/runc"})

    assert [runtimes.settle(name) for name in ("", "dockerlab", "runc")] == ["", "", "runc"]
    assert [runtimes.program(name) for name in ("", "runc")] == ["", "/usr/sbin/runc"]
    with pytest.raises(InvalidArgument, match="unknown or invalid runtime name: nosuch"):
        runtimes.settle("nosuch")


def test_a_runtime_that_is_gone_is_said() -> None:
    with pytest.raises(Unsupported, match="not on this host any more"):
        Runtimes().program("runc")


def test_the_settings_name_others() -> None:
    assert find_runtimes({"mine": "/m"}, is_rootless=False).program("mine") == "/m"


def test_without_root_there_is_ours_only() -> None:
    runtimes = find_runtimes({"mine": "/m"}, is_rootless=True)

    assert runtimes.usable == {}
    with pytest.raises(Unsupported, match="by its own runtime only"):
        runtimes.settle("mine")
