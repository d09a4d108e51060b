"""The engine that the magics of one kernel use: chosen by name, connected at the first need."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from dockerlab.errors import DockerlabError
from dockerlab.notebook.text import say

if TYPE_CHECKING:
    from dockerlab.client.session import Session

__all__ = ["Connection", "Connector"]


class Connector(Protocol):
    """Opens a session with the engine of this name; '' is our own."""

    def __call__(self, engine: str, *, start: bool = True) -> "Session":
        """Start our own engine only if `start`."""
        ...


def _connect(engine: str, *, start: bool = True) -> "Session":
    # Late, because loading the extension is to cost little.
    from dockerlab.client.session import connect

    return connect(engine, start=start)


class Connection:
    """Keeps one session, and opens it when a magic first asks for it.

    Parameters
    ----------
    connector : Connector
        Opens a session.
    announce : callable
        Shows one line in the cell.
    """

    def __init__(
        self,
        connector: Connector = _connect,
        announce: Callable[[str], None] = say,
    ) -> None:
        self._connector = connector
        self._announce = announce
        self._session: Session | None = None

    def session(self) -> "Session":
        """Return a session that works, connecting or starting our engine when there is none.

        Raises
        ------
        DockerlabError
            As `client.session.connect` does.
        """
        if self._session is None:
            return self.choose("")
        self._session = self._session.revive()
        return self._session

    def peek(self) -> "Session | None":
        """Return a session if an engine listens already; nothing is started for the asking."""
        if self._session is not None:
            from dockerlab.client.autostart import is_listening

            path = self._session.socket_path
            return self._session if path is None or is_listening(path) else None
        try:
            return self._connector("", start=False)
        except DockerlabError:
            return None

    def choose(self, engine: str) -> "Session":
        """Use the engine of this name from now on; the one before stays when this fails.

        An engine that is not ours is announced, so that nobody reads its times as ours.
        """
        return self.use(self._connector(engine))

    def use(self, session: "Session") -> "Session":
        """Use a session that was opened elsewhere from now on, as `choose` does."""
        self.close()
        self._session = session
        if session.notice:
            self._announce(session.notice)
        elif not session.is_dockerlab:
            self._announce(f"using {session.engine} {session.version} at {session.address}")
        return session

    def close(self) -> None:
        """Close the connections; the engine goes on."""
        if self._session is not None:
            self._session.close()
            self._session = None
