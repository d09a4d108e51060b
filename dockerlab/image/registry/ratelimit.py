"""How much a registry still gives: the headers that Docker Hub sends with manifests.

``ratelimit-limit: 100;w=21600`` is a hundred manifests in six hours
(https://docs.docker.com/docker-hub/usage/pulls/). Pure.
"""

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

__all__ = ["RateLimit", "parse_rate_limit"]

_COUNT = re.compile(r"\s*(\d{1,12})\s*(?:;\s*w\s*=\s*(\d{1,9}))?", re.ASCII)
_MAX_SOURCE = 100


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """What a registry said with its last answer about a manifest.

    Parameters
    ----------
    registry : str
        Its name in references; of a mirror, host and port.
    limit, remaining : int or None
        Manifests in a window, and what is left of them.
    window_s : int or None
        Length of the window in seconds.
    source : str
        Whom the registry counts: an address, or a user's id.
    seen_at : datetime
        When it said so, in UTC.
    """

    registry: str
    limit: int | None
    remaining: int | None
    window_s: int | None
    source: str
    seen_at: datetime


def parse_rate_limit(
    registry: str, headers: Mapping[str, str], seen_at: datetime
) -> RateLimit | None:
    """Read the headers of an answer; None when it says nothing of limits.

    Examples
    --------
    >>> now = datetime(2026, 1, 31)
    >>> parse_rate_limit("docker.io", {"ratelimit-remaining": "76;w=21600"}, now).remaining
    76
    """
    limit, window_s = _count(headers.get("ratelimit-limit", ""))
    remaining, other_s = _count(headers.get("ratelimit-remaining", ""))
    if limit is None and remaining is None:
        return None
    source = headers.get("docker-ratelimit-source", "")[:_MAX_SOURCE]
    return RateLimit(
        registry=registry,
        limit=limit,
        remaining=remaining,
        window_s=other_s if window_s is None else window_s,
        source="".join(character for character in source if character.isprintable()),
        seen_at=seen_at,
    )


def _count(text: str) -> tuple[int | None, int | None]:
    match = _COUNT.match(text)
    if match is None:
        return None, None
    return int(match[1]), int(match[2]) if match[2] else None
