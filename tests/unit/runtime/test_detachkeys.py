"""Detach keys found in what a client types, however it comes in pieces."""

import pytest

from dockerlab.runtime.detachkeys import DetachKeys

KEYS = b"\x10\x11"


def _type(keys: bytes, *pieces: bytes) -> tuple[bytes, bool]:
    watch = DetachKeys(keys)
    passed = b""
    for piece in pieces:
        data, is_detached = watch.feed(piece)
        passed += data
        if is_detached:
            return passed, True
    return passed + watch.rest(), False


@pytest.mark.parametrize(
    ("pieces", "passed", "is_detached"),
    [
        ((b"ls\n",), b"ls\n", False),
        ((b"ls\x10\x11 more",), b"ls", True),
        ((b"\x10", b"\x11"), b"", True),
        ((b"\x10", b"x"), b"\x10x", False),
        ((b"\x10", b"\x10", b"\x11"), b"\x10", True),
        ((b"\x11\x10",), b"\x11\x10", False),
    ],
)
def test_the_keys_detach_and_the_rest_goes_on(
    pieces: tuple[bytes, ...], passed: bytes, *, is_detached: bool
) -> None:
    assert _type(KEYS, *pieces) == (passed, is_detached)


def test_keys_that_begin_like_their_middle_are_found() -> None:
    assert _type(b"aab", b"a", b"a", b"a", b"b") == (b"a", True)


def test_no_keys_never_detach() -> None:
    assert _type(b"", b"\x10\x11") == (b"\x10\x11", False)
