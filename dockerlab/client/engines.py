"""Which engines there are to choose from, and which of them answer.

Our own, Docker's and Podman's usual sockets, ``DOCKER_HOST``, and the contexts of the docker
command line (``~/.docker/contexts``). Looking starts nothing: an address is asked with one ping,
and nothing else is asked of it. `list_engines` finds, `find_engine` names one, `look` asks.
"""

import difflib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dockerlab.client.ping import ping
from dockerlab.config import Settings, load_settings, other_engine
from dockerlab.errors import DockerlabError, InvalidArgument, Unavailable, Unsupported

__all__ = ["EngineState", "KnownEngine", "find_engine", "list_engines", "look"]

OWN_ENGINE = "dockerlab"
# What this client can connect to; ssh:// and TLS are the docker program's own doing.
SCHEMES = ("unix://", "tcp://")
# A list is no place to wait long for an engine that is somewhere else.
LOOK_TIMEOUT_S = 2.0
USUAL_DOCKER = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEngine:
    """An engine that could be used.

    Parameters
    ----------
    name : str
        What `%engine` takes.
    address : str
        As in ``DOCKER_HOST``.
    origin : str
        Where it is known from.
    refusal : str
        Why this client cannot connect to it; usually ''.
    """

    name: str
    address: str
    origin: str
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """What a known engine answered. `engine` and `version` are '' when it did not."""

    known: KnownEngine
    is_reachable: bool
    engine: str = ""
    version: str = ""
    reason: str = ""


def list_engines(
    environ: Mapping[str, str], settings: Settings | None = None, *, uid: int | None = None
) -> list[KnownEngine]:
    """Return the engines that this user may have, our own first; none is asked.

    Parameters
    ----------
    environ : Mapping
        The environment: ``DOCKER_HOST``, ``DOCKER_CONFIG``, ``XDG_RUNTIME_DIR``, ``HOME``.
    settings : Settings, optional
        Of our own engine, in place of those that the environment gives.
    uid : int, optional
        The user; by default the effective one of this process.

    Notes
    -----
    An address is listed once, under the name that comes first. A context that has the name of a
    built-in one is listed as ``context:NAME``.
    """
    own = load_settings(environ, uid=uid) if settings is None else settings
    found = [KnownEngine(name=OWN_ENGINE, address=f"unix://{own.socket_path}", origin="our own")]
    found += _usual(environ, os.geteuid() if uid is None else uid)
    names = {engine.name for engine in found}
    for context in _contexts(environ):
        name = f"context:{context.name}" if context.name in names else context.name
        found.append(
            KnownEngine(
                name=name, address=context.address, origin=context.origin, refusal=context.refusal
            )
        )
    by_address: dict[str, KnownEngine] = {}
    for engine in found:
        by_address.setdefault(engine.address, engine)
    return list(by_address.values())


def find_engine(name: str, environ: Mapping[str, str], *, uid: int | None = None) -> str:
    """Return the address of the engine of this name, other than our own.

    Raises
    ------
    InvalidArgument
        There is no such engine.
    Unsupported
        It is a context that this client cannot connect to.
    """
    user = os.geteuid() if uid is None else uid
    # Not from the list: there an address has only the first of its names.
    known = {engine.name: engine for engine in _contexts(environ)}
    known |= {f"context:{context}": engine for context, engine in known.items()}
    known |= {engine.name: engine for engine in _usual(environ, user)}
    if name not in known:
        words = [OWN_ENGINE, *known]
        near = difflib.get_close_matches(name, words, n=1)
        raise InvalidArgument(
            f'no such engine: "{name}"',
            hint=f"did you mean {near[0]}?"
            if near
            else "see %engine for those there are, or give a socket: unix:///path",
        )
    engine = known[name]
    if engine.refusal:
        raise Unsupported(
            f'cannot use the context "{name}": {engine.refusal}',
            hint="forward its socket to this machine, and give the path: %engine unix:///path",
        )
    return engine.address


def look(engines: list[KnownEngine]) -> list[EngineState]:
    """Ask each engine who it is, all at once; one that does not answer is a state, no error."""
    if not engines:
        return []
    with ThreadPoolExecutor(max_workers=len(engines)) as pool:
        return list(pool.map(_ask, engines))


def _ask(known: KnownEngine) -> EngineState:
    if known.refusal:
        return EngineState(known=known, is_reachable=False, reason=known.refusal)
    try:
        answer = ping(known.address, timeout_s=LOOK_TIMEOUT_S)
    except Unavailable as exc:
        reason = exc.message.rpartition('": ')[2]
        return EngineState(known=known, is_reachable=False, reason=reason.lower())
    except DockerlabError as exc:
        return EngineState(known=known, is_reachable=False, reason=exc.message)
    return EngineState(known=known, is_reachable=True, engine=answer.engine, version=answer.version)


def _usual(environ: Mapping[str, str], user: int) -> Iterator[KnownEngine]:
    docker = other_engine(environ, "docker", uid=user)
    origin = "DOCKER_HOST" if environ.get("DOCKER_HOST") else "Docker's usual socket"
    yield KnownEngine(name="docker", address=docker, origin=origin, refusal=_refusal(docker))
    if docker != USUAL_DOCKER:
        yield KnownEngine(name="docker-usual", address=USUAL_DOCKER, origin="Docker's usual socket")
    mine = other_engine(environ, "podman", uid=user)
    kind = "rootful" if user == 0 else "rootless"
    yield KnownEngine(name="podman", address=mine, origin=f"Podman's {kind} socket")
    rootful = other_engine(environ, "podman", uid=0)
    yield KnownEngine(name="podman-rootful", address=rootful, origin="Podman's rootful socket")
    folder = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{user}"
    rootless = f"unix://{folder}/podman/podman.sock"
    yield KnownEngine(name="podman-rootless", address=rootless, origin="Podman's rootless socket")


def _contexts(environ: Mapping[str, str]) -> list[KnownEngine]:
    """Return the contexts of the docker command line: ``contexts/meta/<sha256>/meta.json``."""
    home = environ.get("HOME")
    folder = environ.get("DOCKER_CONFIG") or (f"{home}/.docker" if home else "")
    if not folder:
        return []
    meta = Path(folder) / "contexts" / "meta"
    found = [_context(path) for path in sorted(meta.glob("*/meta.json"))]
    return sorted((one for one in found if one is not None), key=lambda one: one.name)


def _context(path: Path) -> KnownEngine | None:
    """Return the context of a file; None when it is not of Docker, or cannot be read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        name, address = str(data["Name"]), str(data["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # contexts/tls/<the same sha256>/docker holds the certificates of one that has any.
    has_tls = (path.parents[2] / "tls" / path.parent.name / "docker").is_dir()
    refusal = "it uses TLS, which is not supported" if has_tls else _refusal(address)
    return KnownEngine(name=name, address=address, origin="docker context", refusal=refusal)


def _refusal(address: str) -> str:
    if address.startswith(SCHEMES):
        return ""
    scheme = address.partition("://")[0]
    return f"{scheme}:// is not supported, only unix:// and tcp://"
