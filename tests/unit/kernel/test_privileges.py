import errno

import pytest

from dockerlab.kernel import privileges
from tests.support.filters import in_child

ALLOW_ALL = bytes.fromhex("0600000000 00ff7f".replace(" ", ""))
UNKNOWN_OPTION = 0x7FFF


def test_a_refused_prctl_has_the_kernels_errno() -> None:
    with pytest.raises(OSError, match="prctl 32767: Invalid argument") as caught:
        privileges.prctl(UNKNOWN_OPTION)
    assert caught.value.errno == errno.EINVAL


def test_no_new_privileges_can_be_asked_for() -> None:
    def act() -> str:
        get_no_new_privs = 39
        before = privileges.prctl(get_no_new_privs)
        privileges.prctl(privileges.PR_SET_NO_NEW_PRIVS, 1)
        return f"{before} {privileges.prctl(get_no_new_privs)}"

    assert in_child(act) == "0 1"


def test_a_filter_may_be_installed_without_root_after_no_new_privileges() -> None:
    def act() -> str:
        privileges.prctl(privileges.PR_SET_NO_NEW_PRIVS, 1)
        privileges.seccomp_set_mode_filter(ALLOW_ALL)
        return "installed"

    assert in_child(act) == "installed"


def test_a_program_that_does_not_end_is_refused() -> None:
    def act() -> str:
        privileges.prctl(privileges.PR_SET_NO_NEW_PRIVS, 1)
        privileges.seccomp_set_mode_filter(bytes(8))
        return "installed"

    assert "Invalid argument" in in_child(act)


def test_capabilities_cannot_be_gained() -> None:
    def act() -> str:
        privileges.capset(0, 0, 0)
        privileges.capset(1, 1, 0)
        return "gained"

    assert "PermissionError" in in_child(act)
    assert "Operation not permitted" in in_child(act)
