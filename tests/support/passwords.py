"""The file of passwords that a real registry reads: htpasswd's, with bcrypt."""

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["write_htpasswd"]

# crypt(5): bcrypt with the fewest rounds that are allowed, and a salt like any other.
_SETTING = b"$2y$04$saltOfTheseTestsHereeu"


def write_htpasswd(path: Path, users: Mapping[str, str]) -> dict[str, Any]:
    """Write the file, and return the ``auth`` section for a registry that reads it."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.argtypes, crypt.restype = [ctypes.c_char_p, ctypes.c_char_p], ctypes.c_char_p
    lines = [f"{user}:{crypt(word.encode(), _SETTING).decode()}" for user, word in users.items()]
    path.write_text("\n".join(lines) + "\n")
    return {"htpasswd": {"realm": "realm of the tests", "path": str(path)}}
