"""Connect to an engine: our own (started when nobody listens), Docker's or Podman's.

A `Session` is one engine, known by its socket, with docker-py's low-level client on it. It is a
value that its owner keeps; `Session.revive` gives a working one when the engine has since ended.
"""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dockerlab.client.autostart import ensure_engine, is_listening
from dockerlab.client.engines import OWN_ENGINE, find_engine
from dockerlab.client.ping import ping, socket_path
from dockerlab.client.refusals import check, engine_errors
from dockerlab.config import (
    Settings,
    load_settings,
    other_engine,
    process_environment,
    refuse_foreign,
)
from dockerlab.errors import Unavailable, Unsupported

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["Session", "connect", "fetch_json", "fetch_status"]

# Requests that wait for something to happen have no timeout; the others are answered at once.
REQUEST_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A connection to one engine.

    Parameters
    ----------
    engine : str
        ``dockerlab``, ``docker`` or ``podman``: what answered, not what was asked for.
    version : str
        The engine's own version, as it says it.
    address : str
        ``unix:///…`` or ``tcp://…``, as in ``DOCKER_HOST``.
    api : APIClient
        docker-py's low-level client; one thread at a time may use it.
    tier : str
        What the host allows our own engine; ``remote`` for others.
    host : str
        Name of the machine.
    notice : str
        One sentence to be shown once, such as that another engine stands in; usually empty.
    settings : Settings or None
        Of our own engine; None for others.
    """

    engine: str
    version: str
    address: str
    api: "APIClient"
    tier: str = "remote"
    host: str = ""
    notice: str = ""
    settings: Settings | None = None

    @property
    def is_dockerlab(self) -> bool:
        """Whether the engine is our own, and has the ``/dockerlab/…`` routes."""
        return self.engine == OWN_ENGINE

    @property
    def socket_path(self) -> Path | None:
        """The engine's unix socket; None for an engine behind TCP."""
        return socket_path(self.address)

    def revive(self) -> "Session":
        """Return this session, or a new one when its engine has ended; ours is started again.

        Raises
        ------
        Unavailable
            Another engine does not answer any more.
        """
        path = self.socket_path
        if path is None or is_listening(path):
            return self
        self.close()
        if self.settings is not None:
            return _connect_own(self.settings, start=True)
        return _open(self.address)

    def close(self) -> None:
        """Close the connections of this session; it opens new ones when it is used again."""
        self.api.close()


def connect(
    engine: str = "",
    *,
    environ: Mapping[str, str] | None = None,
    settings: Settings | None = None,
    start: bool = True,
) -> Session:
    """Connect to an engine.

    Parameters
    ----------
    engine : str
        ``dockerlab``, ``docker`` (DOCKER_HOST, else its usual socket), ``podman``, another name of
        `engines.list_engines`, or an address or path of a socket. '' takes our own one (at
        DOCKERLAB_SOCKET if that is set), and where this system cannot have it, Docker's; then
        `Session.notice` says so.
    environ : Mapping, optional
        In place of the environment of this process.
    settings : Settings, optional
        Of our own engine, in place of those that the environment gives.
    start : bool
        Start our own engine when it does not run.

    Raises
    ------
    InvalidArgument
        No such engine.
    Unavailable
        Nobody answers there.
    EngineFailure
        Our own engine could not be started.
    """
    environ = process_environment() if environ is None else environ
    if engine.startswith("/"):
        return _open(f"unix://{engine}")
    if engine.startswith(("unix://", "tcp://")):
        return _open(engine)
    if engine not in ("", OWN_ENGINE):
        return _open(find_engine(engine, environ))
    own = load_settings(environ) if settings is None else settings
    try:
        return _connect_own(own, start=start)
    except Unsupported as refused:
        if engine == OWN_ENGINE:
            raise
        return _stand_in(other_engine(environ, "docker"), refused)


def fetch_status(session: Session) -> Mapping[str, Any]:
    """Return what our own engine says of itself: the fields of `engine.system.EngineInfo`.

    Raises
    ------
    NotFound
        The engine is another one.
    """
    status = fetch_json(session, "/dockerlab/status")
    return cast("Mapping[str, Any]", status)


def fetch_json(session: Session, path: str) -> object:
    """Return the answer to ``GET`` of a path that docker-py has no method for.

    Parameters
    ----------
    session : Session
        The engine to ask.
    path : str
        Such as ``/dockerlab/status``; already quoted.
    """
    with engine_errors(session.address):
        response = session.api.get(f"{session.api.base_url}{path}", timeout=REQUEST_TIMEOUT_S)
        check(response)
        return response.json()


def _connect_own(settings: Settings, *, start: bool) -> Session:
    if settings.socket_path.parent == settings.runtime_dir:
        # What listens there could be an engine that another user made to be taken for this one.
        refuse_foreign(settings.runtime_dir)
    if start:
        ensure_engine(settings)
    session = _open(f"unix://{settings.socket_path}")
    return replace(session, settings=settings)


def _stand_in(address: str, refused: Unsupported) -> Session:
    try:
        session = _open(address)
    except Unavailable:
        raise refused from None
    return replace(
        session,
        notice=f"dockerlab's own engine cannot run here ({refused.message}):"
        f" using {session.engine} at {address}",
    )


def _open(address: str) -> Session:
    answer = ping(address)
    with engine_errors(address):
        from docker import APIClient

        # The version is known from the ping: docker-py need not ask for it a second time.
        api = APIClient(
            base_url=address,
            version=answer.api_version,
            timeout=int(REQUEST_TIMEOUT_S),
        )
    # Proxies and .netrc mean nothing on a socket, and looking for them takes 0.3 ms a request.
    api.trust_env = False
    session = Session(
        engine=answer.engine,
        version=answer.version,
        address=address,
        api=api,
        host=platform.node(),
    )
    if session.is_dockerlab:
        status = fetch_status(session)
        return replace(session, tier=str(status["tier"]), host=str(status["hostname"]))
    return session
