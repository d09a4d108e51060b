"""Platforms: as they are typed, and which manifest of an index is taken."""

from dataclasses import dataclass

import pytest

from dockerlab.errors import InvalidArgument, ManifestNotFound
from dockerlab.oci.platform import Platform, choose, host_platform, parse_platform


@dataclass(frozen=True)
class Candidate:
    """What an index lists, as far as the choice looks at it."""

    platform: Platform | None


def _candidates(*platforms: str) -> list[Candidate]:
    return [Candidate(parse_platform(text)) for text in platforms]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/X86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("linux", str(host_platform())),
    ],
)
def test_a_platform_is_normalised(text: str, expected: str) -> None:
    assert str(parse_platform(text)) == expected


@pytest.mark.parametrize("text", ["", "/", "linux/", "a/b/c/d", "linux//v7"])
def test_text_that_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid platform"):
        parse_platform(text)


def test_the_hosts_platform_is_in_gos_spelling() -> None:
    assert str(host_platform("x86_64")) == "linux/amd64"
    assert str(host_platform("aarch64")) == "linux/arm64"
    assert str(host_platform("riscv64")) == "linux/riscv64"


def test_the_exact_variant_is_taken_before_one_without() -> None:
    found = choose(_candidates("linux/arm", "linux/arm/v7"), parse_platform("linux/arm/v7"), "x")

    assert str(found.platform) == "linux/arm/v7"


def test_a_variant_that_was_not_asked_for_is_taken_when_there_is_no_other() -> None:
    found = choose(_candidates("linux/amd64", "linux/arm64/v8"), parse_platform("arm64"), "x")

    assert str(found.platform) == "linux/arm64/v8"


def test_another_variant_is_not_taken() -> None:
    with pytest.raises(ManifestNotFound):
        choose(_candidates("linux/arm/v6"), parse_platform("linux/arm/v7"), "x")


def test_a_refusal_lists_what_there_is() -> None:
    candidates = [*_candidates("linux/s390x", "windows/amd64"), Candidate(None)]

    with pytest.raises(ManifestNotFound, match="linux/s390x, windows/amd64"):
        choose(candidates, parse_platform("linux/amd64"), "x")
