"""The client's side of `docker run`, one call a step.

create → (404: say so → pull → create) → attach and wait → start → stream → exit. Attach and wait
are registered *before* the start, so that no byte and no exit can be missed. Read `request`, `run`
and `_Run._foreground` in this order.
"""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from typing import Any

from dockerlab.client.pull import PullLine, pull
from dockerlab.client.refusals import engine_errors, start_failure
from dockerlab.client.request import RunOutcome, RunRequest
from dockerlab.client.session import Session
from dockerlab.client.streams import (
    Conversation,
    Ended,
    ExitWatch,
    FrameDecoder,
    InputSource,
    OnOutput,
    StreamName,
    WaitCondition,
    open_attach,
)
from dockerlab.client.timeline import Timeline, fetch_phases
from dockerlab.errors import (
    BadReference,
    Conflict,
    DockerlabError,
    ImageNotFound,
    NotFound,
    Unavailable,
)
from dockerlab.oci.reference import parse_reference
from dockerlab.phases import Stopwatch

__all__ = ["RunOutcome", "RunRequest", "run"]

# How long an interrupted container may take to end by itself.
INTERRUPT_GRACE_S = 2.0
# How long an engine that was killed may seem to be there.
REVIVAL_S = 10.0
REVIVAL_PAUSE_S = 0.05


def _ignore_output(_stream: StreamName, _data: bytes) -> None:
    """Let the output be collected only."""


def _ignore_message(_text: str) -> None:
    """Say nothing."""


def run(
    session: Session,
    request: RunRequest,
    *,
    on_output: OnOutput = _ignore_output,
    on_message: Callable[[str], None] = _ignore_message,
    on_pull: Callable[[PullLine], None] | None = None,
) -> RunOutcome:
    """Run a container as `docker run` does.

    Parameters
    ----------
    session : Session
        The engine.
    request : RunRequest
        What to run.
    on_output : callable
        Is given ``"stdout"`` or ``"stderr"`` and bytes, as they come, in the caller's thread.
    on_message : callable
        Is given the sentences that `docker run` prints, without newline.
    on_pull : callable
        Is given the lines of the pull's progress.

    Raises
    ------
    StartFailure
        The process could not be started; ``exit_code`` is 125, 126 or 127 as `docker run`'s. The
        container stays, unless it was to be removed at its exit.
    DockerlabError
        Of other kinds, before that; see `refusals.exit_code_of`.
    KeyboardInterrupt
        Interrupted before the container ran; nothing is left. Later than that, the container is
        stopped (SIGINT, then SIGKILL) and an outcome with `interrupted` is returned.
    """
    return _Run(session, request, on_output, on_message, on_pull).perform()


class _Run:
    """One run under way."""

    def __init__(
        self,
        session: Session,
        request: RunRequest,
        on_output: OnOutput,
        on_message: Callable[[str], None],
        on_pull: Callable[[PullLine], None] | None,
    ) -> None:
        self._session = session
        self._request = request
        self._on_output = on_output
        self._on_message = on_message
        self._on_pull = on_pull
        self._stopwatch = Stopwatch()
        self._image = _familiar(request.image)
        self._was_cached = True
        self._container_id = ""
        self._collected: dict[StreamName, bytearray] = {
            "stdout": bytearray(),
            "stderr": bytearray(),
        }
        self._has_output = False
        self._interrupted = False

    def perform(self) -> RunOutcome:
        """Do all the steps."""
        begin_s = time.monotonic()
        self._create()
        if not self._request.is_detached:
            return self._outcome(begin_s, self._foreground())
        with self._undone_unless_started():
            self._start()
        return self._outcome(begin_s, None)

    def _create(self) -> None:
        policy = self._request.pull
        if policy == "always":
            self._pull()
        begin_s = time.monotonic()
        try:
            created = self._post_create()
        except ImageNotFound:
            self._stopwatch.add("lookup", begin_s, time.monotonic())
            if policy != "missing":
                raise
            self._pull_missing()
            begin_s = time.monotonic()
            created = self._post_create()
        self._stopwatch.add("create", begin_s, time.monotonic())
        self._container_id = str(created["Id"])
        for warning in created.get("Warnings") or ():
            self._on_message(f"WARNING: {warning}")

    def _post_create(self) -> dict[str, Any]:
        request = self._request
        # Named first because docker-py's types leave it out.
        create: Callable[..., dict[str, Any]] = self._session.api.create_container_from_config
        with engine_errors(self._session.address):
            return create(self._payload(), request.name or None, request.platform or None)

    def _payload(self) -> dict[str, Any]:
        payload = self._request.payload()
        if self._is_podman and not self._request.is_detached:
            payload["HostConfig"] = {**payload["HostConfig"], "AutoRemove": False}
        return payload

    def _pull_missing(self) -> None:
        try:
            parse_reference(self._image)
        except BadReference as exc:
            # A whole image id cannot be pulled.
            raise ImageNotFound(self._image) from exc
        self._on_message(f"Unable to find image '{self._image}' locally")
        self._pull()

    def _pull(self) -> None:
        self._was_cached = False
        with self._stopwatch.measure("pull"):
            pull(self._session, self._image, self._on_pull, platform=self._request.platform)

    def _foreground(self) -> int:
        request = self._request
        source = None if request.stdin is None else InputSource(request.stdin)
        decoder = FrameDecoder(is_multiplexed=not request.has_terminal)
        with ExitStack() as stack:
            with self._undone_unless_started():
                with self._stopwatch.measure("attach"):
                    connection = stack.enter_context(self._attach(has_input=source is not None))
                    if not self._is_podman:
                        watch = stack.enter_context(self._watch(self._condition))
                started_s = self._start()
            if self._is_podman:
                stack.callback(self._remove_as_podman_would)
                watch = stack.enter_context(self._watch("not-running"))
            talk = Conversation(connection, decoder, self._receive, source)
            try:
                ended = talk.until_exit(watch)
            except KeyboardInterrupt:
                ended = self._stop(talk, watch)
            except Unavailable:
                ended = self._go_on(talk)
        self._measure_exit(started_s, ended)
        return ended.exit_status

    @contextmanager
    def _undone_unless_started(self) -> Iterator[None]:
        """Remove the container when the block is interrupted, or fails and it was `--rm`."""
        try:
            yield
        except BaseException as exc:
            if isinstance(exc, KeyboardInterrupt) or self._request.is_auto_removed:
                self._remove()
            raise

    @property
    def _is_podman(self) -> bool:
        """Whether the exit has to be asked for after the start, and the removal done from here.

        Podman (seen with 4.3.1) looks at a container now and then while it waits for a `next-exit`,
        and waits for ever when it has ended in between; and to who waits for the removal it answers
        0, whatever the exit status was. Asked after the start for `not-running` it misses nothing,
        as long as it does not remove the container meanwhile.
        """
        return self._session.engine == "podman"

    @property
    def _sees_removal(self) -> bool:
        """Whether `wait` answers when the container is removed, with its exit status."""
        return self._request.is_auto_removed and not self._is_podman

    @property
    def _condition(self) -> WaitCondition:
        return "removed" if self._sees_removal else "next-exit"

    def _remove_as_podman_would(self) -> None:
        if self._request.is_auto_removed:
            with self._stopwatch.measure("remove"):
                self._remove()

    def _attach(self, *, has_input: bool) -> socket.socket:
        try:
            return open_attach(self._session, self._container_id, stdin=has_input)
        except DockerlabError as exc:
            # Podman makes the process ready at the attach already, and fails there.
            raise start_failure(exc, None) from exc

    def _watch(self, condition: WaitCondition) -> AbstractContextManager[ExitWatch]:
        return closing(ExitWatch(self._session, self._container_id, condition))

    def _start(self) -> float:
        begin_s = time.monotonic()
        try:
            with engine_errors(self._session.address):
                self._session.api.start(self._container_id)
        except DockerlabError as exc:
            raise start_failure(exc, self._recorded_exit_code()) from exc
        end_s = time.monotonic()
        self._stopwatch.add("start", begin_s, end_s)
        return end_s

    def _receive(self, stream: StreamName, data: bytes) -> None:
        if not self._has_output:
            self._has_output = True
            now_s = time.monotonic()
            self._stopwatch.add("first_byte", now_s, now_s)
        self._collected[stream] += data
        self._on_output(stream, data)

    def _stop(self, talk: Conversation, watch: ExitWatch) -> Ended:
        """Stop an interrupted container; its last words are still shown."""
        self._interrupted = True
        try:
            self._kill("SIGINT")
            return talk.until_exit(watch, INTERRUPT_GRACE_S)
        except (TimeoutError, KeyboardInterrupt):
            # PID 1 ignores a signal that it has no handler for (pid_namespaces(7)), and a second
            # interrupt means "now".
            self._kill("SIGKILL")
            return talk.until_exit(watch)

    def _go_on(self, talk: Conversation) -> Ended:
        """Go on after the engine has ended: our containers and their streams outlive it."""
        with self._watch_again() as watch:
            try:
                return talk.until_exit(watch)
            except KeyboardInterrupt:
                return self._stop(talk, watch)

    def _watch_again(self) -> AbstractContextManager[ExitWatch]:
        condition: WaitCondition = "removed" if self._sees_removal else "not-running"
        deadline_s = time.monotonic() + REVIVAL_S
        while True:
            self._session = self._session.revive()
            try:
                return self._watch(condition)
            except Unavailable:
                # The socket of an engine that was killed accepts until the kernel has taken the
                # process apart.
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(REVIVAL_PAUSE_S)

    def _measure_exit(self, started_s: float, ended: Ended) -> None:
        if not self._sees_removal:
            self._stopwatch.add("exit", started_s, ended.exit_s)
            return
        # The engine answers when the container is gone; the end of its output is the nearest to its
        # exit that a client sees.
        exit_s = min(ended.output_end_s, ended.exit_s)
        self._stopwatch.add("exit", started_s, exit_s)
        self._stopwatch.add("remove", exit_s, ended.exit_s)

    def _kill(self, signal: str) -> None:
        # It may have ended by itself in this moment.
        with suppress(Conflict, NotFound), engine_errors(self._session.address):
            self._session.api.kill(self._container_id, signal)

    def _remove(self) -> None:
        with suppress(DockerlabError), engine_errors(self._session.address):
            self._session.api.remove_container(self._container_id, force=True)

    def _inspect(self) -> Mapping[str, Any]:
        """Return what the engine knows of the container; {} when it is gone."""
        with suppress(NotFound), engine_errors(self._session.address):
            found: dict[str, Any] = self._session.api.inspect_container(self._container_id)
            return found
        return {}

    def _recorded_exit_code(self) -> int | None:
        code = self._inspect().get("State", {}).get("ExitCode")
        return code if isinstance(code, int) else None

    def _outcome(self, begin_s: float, exit_code: int | None) -> RunOutcome:
        name = self._request.name
        if not name and not self._request.is_auto_removed:
            name = str(self._inspect().get("Name", "")).lstrip("/")
        return RunOutcome(
            exit_code=exit_code,
            stdout=bytes(self._collected["stdout"]),
            stderr=bytes(self._collected["stderr"]),
            container_id=self._container_id,
            name=name,
            image=self._image,
            timeline=self._timeline(begin_s),
            was_cached=self._was_cached,
            interrupted=self._interrupted,
        )

    def _timeline(self, begin_s: float) -> Timeline:
        session = self._session
        pulled = [] if self._was_cached else fetch_phases(session, "images", self._image)
        phases = fetch_phases(session, "containers", self._container_id)
        return Timeline(
            engine=session.engine,
            host=session.host,
            tier=session.tier,
            image=self._image,
            temperature="cached" if self._was_cached else "cold",
            begin_s=begin_s,
            client=tuple(self._stopwatch.phases),
            engine_side=tuple(pulled + phases),
        )


def _familiar(image: str) -> str:
    try:
        return parse_reference(image).familiar
    except BadReference:
        # An id; or nonsense, which the engine refuses in its own words.
        return image
