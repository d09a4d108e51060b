"""Events as the API shows them."""

from typing import Any

from dockerlab.engine.event import Event

__all__ = ["event_line"]


def event_line(event: Event) -> dict[str, Any]:
    """Return one line of ``GET /events`` (Engine API, EventMessage), old fields included."""
    return {
        "status": event.action,
        "id": event.actor_id,
        "from": event.attributes.get("image", "") if event.kind == "container" else "",
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.actor_id, "Attributes": event.attributes},
        "scope": "local",
        "time": event.time_ns // 10**9,
        "timeNano": event.time_ns,
    }
