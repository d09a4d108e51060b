"""Digests: the identity of exact bytes.

Not a general hash room: only what the specifications allow. See image-spec/descriptor.md#digests.
"""

import hashlib
import re
from typing import NewType

from dockerlab.errors import BadDigest

__all__ = ["Digest", "digest_of", "hex_of", "parse_digest", "short"]

Digest = NewType("Digest", str)

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def parse_digest(text: str) -> Digest:
    """Check that `text` is a digest that may become part of a path.

    Raises
    ------
    BadDigest
        Another algorithm than sha256, upper case, another length, or anything around it.

    Examples
    --------
    >>> parse_digest("sha256:" + "a" * 64)[:10]
    'sha256:aaa'
    """
    if not _SHA256.fullmatch(text):
        raise BadDigest(f'invalid digest "{text[:100]}": expected "sha256:" and 64 hex digits')
    return Digest(text)


def digest_of(data: bytes) -> Digest:
    """Return the sha256 digest of `data`."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def hex_of(digest: Digest) -> str:
    """Return the part behind the algorithm, checked, fit to name a file.

    Raises
    ------
    BadDigest
        The value did not come from `parse_digest`.
    """
    return parse_digest(digest)[7:]


def short(digest: str) -> str:
    """Return the 12 hex digits that people read.

    Examples
    --------
    >>> short("sha256:" + "0123456789abcdef" * 4)
    '0123456789ab'
    """
    return digest.removeprefix("sha256:")[:12]
