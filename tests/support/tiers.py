"""Hosts without user namespaces, as a user meets them: with PRoot, or with nothing.

A filter of this process's own kind (`tests.hosts.taking`) stands in for what the operators of such
hosts do; all else is this machine.
"""

from dockerlab.kernel import privileges
from tests.hosts import taking

__all__ = ["deny_user_namespaces"]


def deny_user_namespaces() -> None:
    """Let this process and its children make no user namespace; for between fork and exec."""
    # What lets an ordinary user install a filter; newuidmap(1) would be of no use anyway.
    privileges.prctl(privileges.PR_SET_NO_NEW_PRIVS, 1)
    taking.user_namespaces()
