"""Digests are checked before they become part of a path (CVE-2024-3727)."""

import pytest

from dockerlab.errors import BadDigest
from dockerlab.oci.digest import Digest, digest_of, hex_of, parse_digest, short


def test_the_digest_of_nothing_is_known() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # FIPS 180-4

    assert digest_of(b"") == f"sha256:{empty}"
    assert hex_of(digest_of(b"")) == empty
    assert short(digest_of(b"")) == "e3b0c44298fc"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "ab" * 32,
        "sha256:" + "ab" * 31,
        "sha256:" + "ab" * 33,
        "sha256:" + "AB" * 32,
        "sha256:" + "ab" * 32 + "\n",
        " sha256:" + "ab" * 32,
        "sha256:../../" + "ab" * 29,
        "sha512:" + "ab" * 64,
        "sha256:" + "٣" * 64,
    ],
)
def test_anything_else_is_no_digest(text: str) -> None:
    with pytest.raises(BadDigest):
        parse_digest(text)


def test_a_path_is_never_made_from_an_unchecked_digest() -> None:
    with pytest.raises(BadDigest):
        hex_of(Digest("sha256:../../../etc/passwd"))
