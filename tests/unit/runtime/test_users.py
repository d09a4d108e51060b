import pytest

from dockerlab.runtime.users import UnresolvedUser, resolve_groups, resolve_user

PASSWD = b"""\
root:x:0:0:root:/root:/bin/sh
  www:x:33:34::/var/www:/sbin/nologin

1234:x:77:78:a user named like a number:/home/n:/bin/sh
twice:x:100:100::/first:/bin/sh
twice:x:200:200::/second:/bin/sh
homeless:x:44:45:::
short:x:55:56
bad:x:many:1::/bad:/bin/sh
nis+
caf\xc3\xa9:x:66:66::/caf\xc3\xa9:/bin/sh
"""

GROUP = b"""\
root:x:0:
# mail:x:1:www
www:x:34:
mail:x:8:root,www
video:x:44:www
bad:x:some:www
short:x:90
1234:x:91:
"""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("", (0, 0, [8], "/root")),
        ("root", (0, 0, [8], "/root")),
        ("0", (0, 0, [8], "/root")),
        ("www", (33, 34, [8, 44], "/var/www")),
        ("33", (33, 34, [8, 44], "/var/www")),
        ("+33", (33, 34, [8, 44], "/var/www")),
        ("www:mail", (33, 8, [], "/var/www")),
        ("www:8", (33, 8, [], "/var/www")),
        ("www:5000", (33, 5000, [], "/var/www")),
        ("www:", (33, 34, [8, 44], "/var/www")),
        (":mail", (0, 8, [], "/root")),
        ("www:mail:ignored", (33, 8, [], "/var/www")),
        ("1000", (1000, 0, [], "/")),
        ("1000:1001", (1000, 1001, [], "/")),
        ("1234", (1234, 0, [], "/")),
        ("www:1234", (33, 1234, [], "/var/www")),
        ("twice", (100, 100, [], "/first")),
        ("homeless", (44, 45, [], "/")),
        ("short", (55, 56, [], "/")),
        ("café", (66, 66, [], "/caf\N{LATIN SMALL LETTER E WITH ACUTE}")),
        ("2147483647", (2147483647, 0, [], "/")),
    ],
)
def test_a_specification_gives_ids(spec: str, expected: tuple[int, int, list[int], str]) -> None:
    assert resolve_user(spec, PASSWD, GROUP) == expected


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nobody", "unable to find user nobody: no matching entries in passwd file"),
        ("bad", "unable to find user bad: no matching entries in passwd file"),
        ("www:nobody", "unable to find group nobody: no matching entries in group file"),
        ("www:bad", "unable to find group bad: no matching entries in group file"),
        ("2147483648", "uids and gids must be in range 0-2147483647"),
        ("-1", "uids and gids must be in range 0-2147483647"),
        ("1:99999999999999999999", "uids and gids must be in range 0-2147483647"),
        ("١٢", "unable to find user ١٢: no matching entries in passwd file"),
    ],
)
def test_what_cannot_be_resolved_is_said_in_dockers_words(spec: str, message: str) -> None:
    with pytest.raises(UnresolvedUser) as caught:
        resolve_user(spec, PASSWD, GROUP)
    assert str(caught.value) == message


@pytest.mark.parametrize("spec", ["", "0", "0:0"])
def test_root_needs_no_files(spec: str) -> None:
    assert resolve_user(spec, b"", b"") == (0, 0, [], "/")


def test_files_that_are_no_text_are_read_past() -> None:
    noise = bytes(range(256)) * 3
    assert resolve_user("www", noise + b"\n" + PASSWD, noise + b"\n" + GROUP)[0] == 33


def test_additional_groups_are_names_or_ids_once_each() -> None:
    assert resolve_groups(["mail", "5000", "8", "video"], GROUP) == [8, 5000, 44]


def test_an_unknown_additional_group_is_an_error() -> None:
    with pytest.raises(UnresolvedUser, match="unable to find group staff"):
        resolve_groups(["staff"], GROUP)
