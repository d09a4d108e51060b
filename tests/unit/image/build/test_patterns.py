"""Names that COPY and ``.dockerignore`` mean, by the rules of Go's filepath.Match."""

import pytest

from dockerlab.image.build.glob import fits, has_magic
from dockerlab.image.build.ignore import ignored, read_patterns


@pytest.mark.parametrize(
    ("name", "pattern", "does"),
    [
        ("home.txt", "hom*", True),
        ("home.txt", "hom?.txt", True),
        ("hom.txt", "hom?.txt", False),
        ("arr[0].txt", "arr[[]0].txt", True),
        ("a*", "a\\*", True),
        ("ab", "a\\*", False),
        ("b", "[a-c]", True),
        ("d", "[a-c]", False),
        ("d", "[^a-c]", True),
        ("]", "[]]", True),
        ("a", "[a", False),
        ("", "*", True),
        ("abcabc", "*abc", True),
        ("a" * 5000, "*a" * 20 + "b", False),
    ],
)
def test_one_name(name: str, pattern: str, does: bool) -> None:  # noqa: FBT001
    assert fits(name, pattern) is does


def test_magic() -> None:
    assert not has_magic("plain.name")
    assert all(has_magic(name) for name in ("*", "a?", "[a]", "\\a"))


@pytest.mark.parametrize(
    ("patterns", "path", "is_out"),
    [
        ("Dockerfile", "Dockerfile", True),
        ("/Dockerfile", "Dockerfile", True),
        ("docs", "docs/a/b", True),
        ("*.md\n!README.md", "README.md", False),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
        ("*/temp*", "a/temp.txt", True),
        ("*/temp*", "a/b/temp.txt", False),
        ("**/*.go", "a.go", True),
        ("**/*.go", "a/b/c.go", True),
        ("**", "any", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "a/b", True),
        ("# a comment\n\n  spaced  ", "spaced", True),
        ("[a-c]x", "bx", True),
        ("temp?", "tempa", True),
        ("temp?", "temp", False),
    ],
)
def test_ignored(patterns: str, path: str, is_out: bool) -> None:  # noqa: FBT001
    assert ignored(path, read_patterns(patterns)) is is_out
