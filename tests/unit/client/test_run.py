"""The order of `docker run`, and what it leaves, against an engine that answers as it is told."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.client.pull import PullLine
from dockerlab.client.run import RunOutcome, RunRequest, run
from dockerlab.client.session import connect
from dockerlab.client.streams import StreamName
from dockerlab.errors import (
    CommandNotExecutable,
    CommandNotFound,
    ImageNotFound,
    ManifestNotFound,
    StartFailure,
)
from tests.unit.client.scripted_engine import (
    CONTAINER_ID,
    ScriptedEngine,
    frame,
    scripted_engine,
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ScriptedEngine]:
    with scripted_engine(tmp_path) as running:
        yield running


def verbs(engine: ScriptedEngine) -> list[str]:
    return [
        request.partition("?")[0].rpartition("/")[2]
        for request in engine.requests
        if request.startswith("POST")
    ]


def do(engine: ScriptedEngine, request: RunRequest) -> RunOutcome:
    session = connect(engine.address)
    try:
        return run(session, request)
    finally:
        session.close()


def test_attach_and_wait_come_before_start(engine: ScriptedEngine) -> None:
    outcome = do(engine, RunRequest(image="busybox"))
    assert verbs(engine) == ["create", "attach", "wait", "start"]
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, b"hello\n", b"")
    assert (outcome.container_id, outcome.name) == (CONTAINER_ID, "merry_name")
    assert outcome.was_cached
    assert not outcome.interrupted


def test_a_missing_image_is_announced_and_pulled(engine: ScriptedEngine) -> None:
    engine.script.has_image = False
    engine.script.pull_lines = [
        {"status": "Pulling from library/hello-world", "id": "latest"},
        {"status": "Status: Downloaded newer image for hello-world:latest"},
    ]
    messages: list[str] = []
    lines: list[PullLine] = []
    session = connect(engine.address)
    outcome = run(
        session,
        RunRequest(image="hello-world"),
        on_message=messages.append,
        on_pull=lines.append,
    )
    session.close()
    assert messages == ["Unable to find image 'hello-world:latest' locally"]
    assert [line.id for line in lines] == ["latest", ""]
    assert "POST /images/create?fromImage=hello-world%3Alatest" in engine.requests
    assert not outcome.was_cached
    assert outcome.timeline.temperature == "cold"
    assert [row["phase"] for row in outcome.timeline.rows] == [
        "lookup",
        "pull",
        "create",
        "attach",
        "start",
        "exit",
        "first_byte",
    ]


def test_never_pull_means_never(engine: ScriptedEngine) -> None:
    engine.script.has_image = False
    with pytest.raises(ImageNotFound, match="No such image: hello-world:latest"):
        do(engine, RunRequest(image="hello-world", pull="never"))
    assert verbs(engine) == ["create"]


def test_always_pull_means_before_the_create(engine: ScriptedEngine) -> None:
    do(engine, RunRequest(image="hello-world", pull="always"))
    assert engine.requests[1] == "POST /images/create?fromImage=hello-world%3Alatest"
    assert verbs(engine) == ["create", "create", "attach", "wait", "start"]


def test_an_image_id_is_not_pulled(engine: ScriptedEngine) -> None:
    engine.script.has_image = False
    with pytest.raises(ImageNotFound):
        do(engine, RunRequest(image="a" * 64))
    assert verbs(engine) == ["create"]


def test_a_refused_pull_is_an_error_of_its_kind(engine: ScriptedEngine) -> None:
    engine.script.has_image = False
    engine.script.pull_status = 404
    with pytest.raises(ManifestNotFound, match="pull access denied"):
        do(engine, RunRequest(image="private"))


def test_the_two_streams_are_told_apart_and_given_as_they_come(engine: ScriptedEngine) -> None:
    engine.script.output = frame(1, b"out") + frame(2, b"err") + frame(1, b"more")
    engine.script.exit_code = 7
    seen: list[tuple[StreamName, bytes]] = []
    session = connect(engine.address)
    outcome = run(
        session,
        RunRequest(image="busybox"),
        on_output=lambda stream, data: seen.append((stream, data)),
    )
    session.close()
    assert seen == [("stdout", b"out"), ("stderr", b"err"), ("stdout", b"more")]
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (7, b"outmore", b"err")


def test_a_terminal_has_one_stream_without_frames(engine: ScriptedEngine) -> None:
    engine.script.output = b"raw\r\n"
    outcome = do(engine, RunRequest(image="busybox", config={"Tty": True}))
    assert outcome.stdout == b"raw\r\n"


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_standard_input_arrives_whole_and_ends(engine: ScriptedEngine, size: int) -> None:
    engine.script.reads_input = True
    do(engine, RunRequest(image="busybox", stdin=b"x" * size))
    assert engine.received == b"x" * size
    [created] = engine.created
    assert (created["OpenStdin"], created["StdinOnce"], created["AttachStdin"]) == (True,) * 3


def test_standard_input_may_be_a_file_or_in_memory(engine: ScriptedEngine, tmp_path: Path) -> None:
    engine.script.reads_input = True
    path = tmp_path / "input"
    path.write_bytes(b"from a file" * 20_000)
    with path.open("rb") as file:
        do(engine, RunRequest(image="busybox", stdin=file))
    assert engine.received == b"from a file" * 20_000


def test_standard_input_may_be_in_memory(engine: ScriptedEngine) -> None:
    engine.script.reads_input = True
    do(engine, RunRequest(image="busybox", stdin=io.BytesIO(b"m" * 200_000)))
    assert engine.received == b"m" * 200_000


def test_input_that_nobody_reads_does_not_hang(engine: ScriptedEngine) -> None:
    outcome = do(engine, RunRequest(image="busybox", stdin=b"x" * 3_000_000))
    assert outcome.stdout == b"hello\n"


def test_detached_means_created_and_started(engine: ScriptedEngine) -> None:
    outcome = do(engine, RunRequest(image="busybox", is_detached=True))
    assert verbs(engine) == ["create", "start"]
    assert outcome.exit_code is None


def test_auto_remove_waits_for_the_removal(engine: ScriptedEngine) -> None:
    outcome = do(engine, RunRequest(image="busybox", host_config={"AutoRemove": True}))
    assert f"POST /containers/{CONTAINER_ID}/wait?condition=removed" in engine.requests
    assert {"exit", "remove"} <= {row["phase"] for row in outcome.timeline.rows}


def test_options_are_passed_in_docker_s_terms(engine: ScriptedEngine) -> None:
    request = RunRequest(
        image="busybox",
        command=("echo", "hi"),
        name="merry",
        config={"Env": ["A=1"]},
        host_config={"Memory": 1 << 20},
    )
    outcome = do(engine, request)
    [created] = engine.created
    assert created["Cmd"] == ["echo", "hi"]
    assert created["Env"] == ["A=1"]
    assert created["HostConfig"] == {"Memory": 1 << 20}
    assert "POST /containers/create?name=merry" in engine.requests
    assert outcome.name == "merry"


def test_warnings_of_the_engine_are_said(engine: ScriptedEngine) -> None:
    engine.script.warnings = ["no swap limit"]
    messages: list[str] = []
    session = connect(engine.address)
    run(session, RunRequest(image="busybox"), on_message=messages.append)
    session.close()
    assert messages == ["WARNING: no swap limit"]


@pytest.mark.parametrize(
    ("recorded", "message", "kind", "exit_code"),
    [
        (127, "whatever", CommandNotFound, 127),
        (126, "whatever", CommandNotExecutable, 126),
        (0, 'exec: "x": executable file not found in $PATH', CommandNotFound, 127),
        (0, "exec /x: permission denied", CommandNotExecutable, 126),
        (128, "the disk is on fire", StartFailure, 125),
    ],
)
def test_a_failed_start_says_why(
    engine: ScriptedEngine, recorded: int, message: str, kind: type[StartFailure], exit_code: int
) -> None:
    engine.script.start_status = 400
    engine.script.start_message = message
    engine.script.recorded_exit_code = recorded
    with pytest.raises(kind) as caught:
        do(engine, RunRequest(image="busybox"))
    assert type(caught.value) is kind
    assert caught.value.exit_code == exit_code
    assert not [request for request in engine.requests if request.startswith("DELETE")]


def test_a_failed_start_of_an_auto_removed_container_leaves_nothing(
    engine: ScriptedEngine,
) -> None:
    engine.script.start_status = 500
    with pytest.raises(StartFailure):
        do(engine, RunRequest(image="busybox", host_config={"AutoRemove": True}))
    assert [request for request in engine.requests if request.startswith("DELETE")]


@pytest.mark.parametrize(
    ("ends_on", "kills"), [("SIGINT", ["SIGINT"]), ("SIGKILL", ["SIGINT", "SIGKILL"])]
)
def test_an_interrupt_stops_the_container(
    engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, ends_on: str, kills: list[str]
) -> None:
    monkeypatch.setattr("dockerlab.client.run.INTERRUPT_GRACE_S", 0.1)
    engine.script.runs_until_killed = True
    engine.script.ends_on = ends_on
    engine.script.exit_code = 130
    engine.script.output = frame(1, b"one") + frame(2, b"two")

    def interrupt(stream: StreamName, _data: bytes) -> None:
        if stream == "stdout":
            raise KeyboardInterrupt

    session = connect(engine.address)
    outcome = run(session, RunRequest(image="busybox"), on_output=interrupt)
    session.close()
    assert outcome.interrupted
    assert outcome.exit_code == 130
    assert (outcome.stdout, outcome.stderr) == (b"one", b"two")
    sent = [request.partition("signal=")[2] for request in engine.requests if "/kill" in request]
    assert sent == kills


def test_an_interrupt_before_the_start_leaves_no_container(
    engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dockerlab.client.run.open_attach", interrupted)
    with pytest.raises(KeyboardInterrupt):
        do(engine, RunRequest(image="busybox"))
    assert any(request.startswith("DELETE") for request in engine.requests)


def test_an_interrupt_of_the_pull_is_passed_on(engine: ScriptedEngine) -> None:
    engine.script.has_image = False
    engine.script.pull_lines = [{"status": "Pulling"}, {"status": "Downloading"}]

    def interrupt(_line: PullLine) -> None:
        raise KeyboardInterrupt

    session = connect(engine.address)
    with pytest.raises(KeyboardInterrupt):
        run(session, RunRequest(image="busybox"), on_pull=interrupt)
    session.close()
    assert verbs(engine) == ["create", "create"]


def test_the_engine_s_phases_are_in_the_timeline_of_ours(engine: ScriptedEngine) -> None:
    engine.script.server = "dockerlab/0.1.0 (linux)"
    engine.script.status = {"tier": "rootful", "hostname": "lab"}
    engine.script.phases = [
        {"phase": "start", "layer": "", "begin_s": 1.0, "duration_s": 0.5, "size_bytes": 0}
    ]
    timeline = do(engine, RunRequest(image="busybox")).timeline
    assert (timeline.engine, timeline.tier, timeline.host) == ("dockerlab", "rootful", "lab")
    assert [row["phase"] for row in timeline.rows if row["side"] == "engine"] == ["start"]
