"""Pulls hostile inputs with a real engine, and sees what came of it and of the host."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.hostile.making import Case
from tests.support.engine import EngineUnderTest
from tests.support.httpserver import running_server

__all__ = ["Outcome", "attempt"]

# What the cases try to write outside.
_TARGETS = (Path("/tmp/hostile"), Path("/etc/hostile"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a case got: the error, '' when the image was taken, and what was wrong with that."""

    error: str
    faults: tuple[str, ...]


def attempt(engine: EngineUnderTest, case: Case) -> Outcome:
    """Pull a case and remove its image; the engine must be as before."""
    client = engine.connect(timeout_s=100)
    with running_server(case.respond()) as server:
        name = f"{server.address}/hostile"
        try:
            lines = list(
                client.api.pull(name, "1", stream=True, decode=True, platform="linux/amd64")
            )
            error = str(lines[-1].get("error") or "")
        except Exception as exc:  # noqa: BLE001 - docker-py's kinds follow the status
            error = str(getattr(exc, "explanation", None) or exc)
        address = server.address
    faults = [f"{path} was made" for path in _TARGETS if path.exists()]
    if not client.ping():
        faults.append("the engine does not answer")
    if not error:
        client.images.remove(f"{name}:1")
    faults += [f"left: {left}" for left in _left(engine)]
    if error.count("\n"):
        faults.append("the error has several lines")
    return Outcome(error=_blank(error, address), faults=tuple(faults))


def _left(engine: EngineUnderTest) -> list[str]:
    """Return what is in the store, which was empty before."""
    content, layers = engine.root / "content", engine.root / "layers"
    places = (layers, layers / "sizes", content / "blobs" / "sha256", content / "ingest")
    found = [path for place in places for path in place.iterdir() if path.name != "sizes"]
    return [str(path.relative_to(engine.root)) for path in found]


def _blank(error: str, address: str) -> str:
    """Return an error without what differs from run to run."""
    text = error.replace(address, "REGISTRY").replace("REGISTRY/hostile:1", "IMAGE")
    text = text.replace("REGISTRY/hostile", "IMAGE")
    return re.sub(r"sha256:[0-9a-f]{64}", "DIGEST", text)
