"""What registries still give, in words: the engine's record of their last answers."""

from collections.abc import Mapping
from typing import Any

__all__ = ["describe_limits"]

_HOUR_S = 3600


def describe_limits(status: Mapping[str, Any]) -> list[str]:
    """Return a phrase for each registry that said something.

    Parameters
    ----------
    status : Mapping
        The answer of ``/dockerlab/status``; an older engine's has no limits.

    Examples
    --------
    >>> describe_limits({"rate_limits": [{"registry": "docker.io", "limit": 100, "remaining": 76,
    ...                                   "window_s": 21600, "source": "192.0.2.1"}]})
    ['docker.io: 76 of 100 pulls left, in 6 h, counted for 192.0.2.1']
    """
    return [_describe(limit) for limit in status.get("rate_limits", ())]


def _describe(limit: Mapping[str, Any]) -> str:
    left, whole = limit["remaining"], limit["limit"]
    if left is None:
        text = f"{limit['registry']}: {whole} pulls"
    else:
        of_whole = "" if whole is None else f" of {whole}"
        text = f"{limit['registry']}: {left}{of_whole} pulls left"
    if window_s := limit["window_s"]:
        text += f", in {window_s / _HOUR_S:g} h" if window_s >= _HOUR_S else f", in {window_s} s"
    return text + (f", counted for {limit['source']}" if limit["source"] else "")
