"""The keeper of events: recorded, and streamed to whoever listens."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime

from dockerlab.engine.container import Container
from dockerlab.engine.database import Database
from dockerlab.engine.event import Event
from dockerlab.engine.network import Network

__all__ = ["Events"]

_FLUSH_AFTER_S = 0.5
# A listener that does not read is dropped rather than remembered for.
_QUEUE_LENGTH = 4096


class Events:
    """Publishes events on the daemon's loop and writes them in batches."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unwritten: list[Event] = []
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._flush_handle: asyncio.TimerHandle | None = None

    def publish(self, kind: str, action: str, actor_id: str, attributes: dict[str, str]) -> None:
        """Record an event now and give it to the listeners."""
        time_ns = time.time_ns()
        event = Event(
            kind=kind,
            action=action,
            actor_id=actor_id,
            attributes=attributes,
            at=datetime.fromtimestamp(time_ns / 1e9, UTC),
            time_ns=time_ns,
        )
        self._unwritten.append(event)
        if self._flush_handle is None:
            loop = asyncio.get_running_loop()
            self._flush_handle = loop.call_later(_FLUSH_AFTER_S, self.flush)
        for queue in list(self._listeners):
            if queue.qsize() >= _QUEUE_LENGTH:
                self._listeners.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    def of_container(self, container: Container, action: str, **extra: str) -> None:
        """Publish an event of a container, with the attributes that Docker gives it."""
        attributes = {
            **container.config.labels,
            "image": container.config.image,
            "name": container.name,
            **extra,
        }
        self.publish("container", action, container.id, attributes)

    def of_network(self, network: Network, action: str, **extra: str) -> None:
        """Publish an event of a network; `extra` is the ``container`` that it is about."""
        attributes = {**extra, "name": network.name, "type": network.driver}
        self.publish("network", action, network.id, attributes)

    def flush(self) -> None:
        """Write what was not written yet."""
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        if self._unwritten:
            written, self._unwritten = self._unwritten, []
            self._database.add_events(written)

    async def stream(
        self,
        *,
        since: datetime | None,
        until: datetime | None,
        filters: Mapping[str, Sequence[str]],
    ) -> AsyncIterator[Event]:
        """Iterate over recorded events from `since` on, then over live ones up to `until`."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            if since is not None:
                self.flush()
                for event in self._database.events(int(since.timestamp() * 1e9)):
                    if (until is None or event.at <= until) and _matches(event, filters):
                        yield event
            while (event_or_end := await _next(queue, until)) is not None:
                if _matches(event_or_end, filters):
                    yield event_or_end
        finally:
            self._listeners.discard(queue)


async def _next(queue: asyncio.Queue[Event | None], until: datetime | None) -> Event | None:
    if until is None:
        return await queue.get()
    left_s = (until - datetime.now(UTC)).total_seconds()
    if left_s <= 0:
        return None
    try:
        return await asyncio.wait_for(queue.get(), left_s)
    except TimeoutError:
        return None


def _matches(event: Event, filters: Mapping[str, Sequence[str]]) -> bool:
    for key, wanted in filters.items():
        if key in ("container", "image"):
            names = (
                event.actor_id,
                event.attributes.get("name", ""),
                # A network's event names a container, too, and is not that one's.
                event.attributes.get("image", "") if key == "image" else "",
            )
            hit = any(w in names or (w and event.actor_id.startswith(w)) for w in wanted)
        elif key == "label":
            hit = all(_has_label(event.attributes, label) for label in wanted)
        else:
            # "exec_start: ls" is an exec_start, "health_status: healthy" a health_status.
            action = event.action.partition(": ")[0]
            kinds = {"type": {event.kind}, "event": {event.action, action}}
            hit = not kinds.get(key, set()).isdisjoint(wanted)
        if not hit:
            return False
    return True


def _has_label(attributes: Mapping[str, str], label: str) -> bool:
    key, equals, value = label.partition("=")
    return key in attributes and (not equals or attributes[key] == value)
