"""Detach keys as clients write them, as the bytes that a terminal sends."""

from dockerlab.errors import InvalidArgument

__all__ = ["parse_detach_keys"]

_DEFAULT = "ctrl-p,ctrl-q"
_CONTROL = "@abcdefghijklmnopqrstuvwxyz[\\]^_"


def parse_detach_keys(text: str) -> bytes:
    r"""Return the bytes of keys like ``ctrl-p,ctrl-q``, Docker's default, which '' means.

    A key is one ASCII character, ``ctrl-`` and a letter or one of ``@[\]^_``, or ``DEL``
    (Engine API, /containers/{id}/attach, `detachKeys`).

    Raises
    ------
    InvalidArgument
        Not such a list.

    Examples
    --------
    >>> parse_detach_keys(""), parse_detach_keys("ctrl-a,d")
    (b'\x10\x11', b'\x01d')
    """
    return bytes(_code(key, text) for key in (text or _DEFAULT).split(","))


def _code(key: str, text: str) -> int:
    if len(key) == 1 and key.isascii():
        return ord(key)
    if key.upper() == "DEL":
        return 127
    control = _CONTROL.find(key[5:].lower()) if key.lower().startswith("ctrl-") else -1
    if control < 0 or len(key) != len("ctrl-") + 1:
        raise InvalidArgument(f"Invalid detach keys ({text[:40]}) provided")
    return control
