import pytest

from dockerlab.image.layer.fault import shown


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"usr/bin", "usr/bin"),
        ("naïve".encode(), "naïve"),
        (b"a\nb\x1b[31m", "a\\x0ab\\x1b[31m"),
        (b"caf\xe9", "caf\\xe9"),
    ],
)
def test_names_are_shown_on_one_line(name: bytes, text: str) -> None:
    assert shown(name) == text


def test_long_names_are_cut() -> None:
    assert len(shown(b"x" * 5000)) == 201
