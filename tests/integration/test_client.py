"""`client.run` with a real engine: what a cell sees, also when it is interrupted or worse."""

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dockerlab.client.pull import PullLine, pull
from dockerlab.client.run import RunOutcome, RunRequest, run
from dockerlab.client.session import Session, connect, fetch_status
from dockerlab.client.shutdown import engine_pid, stop_engine
from dockerlab.client.streams import StreamName
from dockerlab.config import Settings, load_settings
from dockerlab.errors import CommandNotExecutable, CommandNotFound, ManifestNotFound, StartFailure
from tests.support.engine import EngineUnderTest
from tests.support.gate import running_gate
from tests.support.registry import RunningRegistry

REMOVED = {"AutoRemove": True}


@pytest.fixture
def session(engine: EngineUnderTest) -> Iterator[Session]:
    opened = connect(engine.address)
    pull(opened, "busybox")
    yield opened
    for container in opened.api.containers(all=True):
        opened.api.remove_container(container["Id"], force=True)
    opened.close()


@pytest.fixture
def own(registry: RunningRegistry, engine: EngineUnderTest) -> Iterator[Settings]:
    """Settings of an engine that the client starts by itself, and again when it has died."""
    base = Path(tempfile.mkdtemp(prefix="dl-"))
    settings = load_settings(
        {}, root=base / "root", socket=base / "engine.sock", mirrors=[registry.url]
    )
    yield settings
    stop_engine(settings)
    shutil.rmtree(base, ignore_errors=True)
    shutil.rmtree(settings.runtime_dir, ignore_errors=True)


def sh(script: str, **options: object) -> RunRequest:
    return RunRequest(image="busybox", command=("sh", "-c", script), **options)  # type: ignore[arg-type]  # the test's own options


def ids(session: Session) -> list[str]:
    return [container["Id"] for container in session.api.containers(all=True)]


def interrupt_at(text: bytes) -> "Interrupter":
    return Interrupter(text)


class Interrupter:
    """Sends this process SIGINT, as Jupyter does, shortly after the container has said `text`."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._seen = b""

    def __call__(self, _stream: StreamName, data: bytes) -> None:
        self._seen += data
        if self._text in self._seen:
            self._text = b"\0never"
            main = threading.main_thread().ident
            assert main is not None
            # After this call has returned: the client is then blocked in its poll.
            threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()


def test_a_first_run_pulls_and_the_second_does_not(fresh_engine: EngineUnderTest) -> None:
    session = connect(fresh_engine.address)
    messages: list[str] = []
    lines: list[PullLine] = []
    request = RunRequest(image="hello-world")

    cold = run(session, request, on_message=messages.append, on_pull=lines.append)
    cached = run(session, request, on_message=messages.append)
    session.close()

    assert messages == ["Unable to find image 'hello-world:latest' locally"]
    assert lines[0].status == "Pulling from library/hello-world"
    assert (cold.exit_code, cached.exit_code) == (0, 0)
    assert cold.stdout == cached.stdout != b""
    assert (cold.was_cached, cached.was_cached) == (False, True)
    assert cold.timeline.summary_line().startswith("cold · ")
    assert cached.timeline.summary_line().startswith("cached · ")
    sides = {(row["side"], row["phase"]) for row in cold.timeline.rows}
    assert {("client", "pull"), ("engine", "manifest"), ("engine", "start")} <= sides
    # Both sides count on one clock, from the beginning of the run.
    assert all(0 <= row["begin_s"] <= cold.timeline.duration_s for row in cold.timeline.rows)


def test_input_goes_in_and_both_streams_and_the_exit_code_come_out(session: Session) -> None:
    data = os.urandom(1 << 20)

    outcome = run(session, sh("cat; echo oops >&2; exit 7", stdin=data, host_config=REMOVED))

    assert outcome.stdout == data
    assert outcome.stderr == b"oops\n"
    assert outcome.exit_code == 7
    assert ids(session) == []


def test_a_program_that_reads_no_input_ends_all_the_same(session: Session) -> None:
    outcome = run(session, sh("head -c 3", stdin=b"abc" * 1_000_000, host_config=REMOVED))

    assert (outcome.stdout, outcome.exit_code) == (b"abc", 0)


def test_output_comes_while_the_program_runs(session: Session, tmp_path: Path) -> None:
    """The program waits for its input, and that is written only once its output was seen."""
    read_end, write_end = os.pipe()

    def answer(_stream: StreamName, data: bytes) -> None:
        if data == b"ready\n":
            os.write(write_end, b"go\n")
            os.close(write_end)

    with os.fdopen(read_end, "rb") as source:
        request = sh("echo ready; read word; echo got $word", stdin=source, host_config=REMOVED)
        outcome = run(session, request, on_output=answer)

    assert outcome.stdout == b"ready\ngot go\n"


def test_a_terminal_is_one_stream(session: Session) -> None:
    request = sh("tty; echo err >&2", config={"Tty": True}, host_config=REMOVED)

    outcome = run(session, request)

    assert outcome.stdout.endswith(b"err\r\n")
    assert outcome.stderr == b""


@pytest.mark.parametrize(
    ("command", "kind", "exit_code"),
    [
        (("nope",), CommandNotFound, 127),
        (("/etc/passwd",), CommandNotExecutable, 126),
        (("/etc",), CommandNotExecutable, 126),
    ],
)
def test_a_start_that_fails_has_docker_s_exit_code(
    session: Session, command: tuple[str, ...], kind: type[StartFailure], exit_code: int
) -> None:
    with pytest.raises(kind) as caught:
        run(session, RunRequest(image="busybox", command=command, host_config=REMOVED))

    assert caught.value.exit_code == exit_code
    assert ids(session) == []


def test_what_the_registry_has_not_is_one_sentence(
    session: Session, registry: RunningRegistry
) -> None:
    with pytest.raises(ManifestNotFound, match="manifest unknown"):
        run(session, RunRequest(image=f"{registry.address}/library/none"))


def test_an_interrupt_ends_a_program_that_listens_to_it(session: Session) -> None:
    script = "trap 'echo bye; exit 3' INT; echo up; while :; do sleep 0.05; done"

    outcome = run(session, sh(script, host_config=REMOVED), on_output=interrupt_at(b"up\n"))

    assert outcome.interrupted
    assert outcome.stdout == b"up\nbye\n"
    assert outcome.exit_code == 3
    assert ids(session) == []


def test_an_interrupt_ends_a_program_that_does_not(session: Session) -> None:
    script = "trap '' INT TERM; echo up; while :; do sleep 1; done"

    outcome = run(session, sh(script), on_output=interrupt_at(b"up\n"))

    assert outcome.interrupted
    assert outcome.exit_code == 137
    [container] = session.api.containers(all=True)
    assert container["State"] == "exited"


def test_an_interrupted_pull_leaves_an_engine_that_can_pull(registry: RunningRegistry) -> None:
    with running_gate(registry.address) as gate:
        engine = EngineUnderTest(mirrors=[gate.url])
        try:
            engine.start()
            session = connect(engine.address)

            def interrupt(line: PullLine) -> None:
                if line.status == "Downloading":
                    signal.raise_signal(signal.SIGINT)

            with pytest.raises(KeyboardInterrupt):
                run(session, RunRequest(image="slow"), on_pull=interrupt)
            assert session.api.images() == []
            gate.release()
            pull(session, "slow")
            assert len(session.api.images()) == 1
            session.close()
        finally:
            gate.release()
            engine.close()


def test_many_runs_at_once_have_each_their_own_output(
    session: Session, engine: EngineUnderTest
) -> None:
    def one(number: int) -> RunOutcome:
        own = connect(engine.address)
        try:
            data = f"{number}\n".encode() * 1000
            return run(own, sh(f"cat; exit {number}", stdin=data, host_config=REMOVED))
        finally:
            own.close()

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(one, range(16)))

    assert [outcome.exit_code for outcome in outcomes] == list(range(16))
    assert all(o.stdout == f"{n}\n".encode() * 1000 for n, o in enumerate(outcomes))
    assert ids(session) == []


def test_a_run_goes_on_when_the_engine_is_killed(own: Settings) -> None:
    session = connect(settings=own)
    pull(session, "busybox")
    first = engine_pid(own.socket_path)
    assert first is not None
    script = "echo up; read word; echo got $word; exit 5"
    read_end, write_end = os.pipe()

    def kill_engine(_stream: StreamName, data: bytes) -> None:
        if data == b"up\n":
            os.kill(first, signal.SIGKILL)
            os.write(write_end, b"through\n")
            os.close(write_end)

    with os.fdopen(read_end, "rb") as source:
        outcome = run(session, sh(script, stdin=source), on_output=kill_engine)
    revived = session.revive()
    second = fetch_status(revived)["pid"]
    [container] = revived.api.containers(all=True)
    revived.api.remove_container(container["Id"])
    revived.close()

    assert outcome.stdout == b"up\ngot through\n"
    assert outcome.exit_code == 5
    assert second != first
