r"""The keys that take a client off a terminal, found in what it types.

They come in pieces: a beginning of them is held back until the next bytes tell. What was held back
and is not the keys goes on to the process.
"""

from __future__ import annotations

__all__ = ["DetachKeys"]


class DetachKeys:
    r"""Watches one client's input.

    Parameters
    ----------
    keys : bytes
        As a terminal sends them; b"" never detaches.

    Examples
    --------
    >>> watch = DetachKeys(b"\x10\x11")
    >>> watch.feed(b"ls\x10"), watch.feed(b"\x10"), watch.feed(b"\x11 lost")
    ((b'ls', False), (b'\x10', False), (b'', True))
    """

    __slots__ = ("_held", "_keys")

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Return what goes on to the process, and whether the keys came right behind it."""
        if not self._keys:
            return data, False
        data = self._held + data
        before, keys, _ = data.partition(self._keys)
        if keys:
            self._held = b""
            return before, True
        held = min(len(data), len(self._keys) - 1)
        while held and not self._keys.startswith(data[-held:]):
            held -= 1
        self._held = data[len(data) - held :]
        return data[: len(data) - held], False

    def rest(self) -> bytes:
        """Return what is held back, at the end of the input."""
        held, self._held = self._held, b""
        return held
