"""The record of an event, as `docker events` shows it."""

from datetime import datetime

import msgspec

__all__ = ["Event"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to an object.

    `kind` is ``container`` or ``image``; `action` Docker's word (``create, start, attach, die,
    kill, stop, destroy, rename, pull, tag, untag, delete``); `attributes` holds at least ``name``,
    and ``image``, ``exitCode``, ``signal`` where Docker has them.
    """

    kind: str
    action: str
    actor_id: str
    attributes: dict[str, str]
    at: datetime
    time_ns: int
