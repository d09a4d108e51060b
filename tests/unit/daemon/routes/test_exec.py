from tests.unit.daemon.conftest import Daemon, read_all


def running(daemon: Daemon) -> None:
    daemon.create("sleep")
    daemon.request("POST", "/containers/c/start")


def create(daemon: Daemon, *cmd: str, **more: object) -> str:
    status, answer = daemon.json("POST", "/containers/c/exec", {"Cmd": list(cmd), **more})
    assert status == 201, answer
    return str(answer["Id"])


def test_an_exec_needs_a_running_container_and_a_command(daemon: Daemon) -> None:
    daemon.create("sleep")
    assert daemon.json("POST", "/containers/c/exec", {"Cmd": ["echo"]})[0] == 409
    assert daemon.json("POST", "/containers/c/exec", {}) == (
        400,
        {"message": "No exec command specified"},
    )


def test_a_detached_exec_answers_200_and_is_described(daemon: Daemon) -> None:
    running(daemon)
    exec_id = create(daemon, "echo", "a", "b", User="1", AttachStdin=True)
    assert daemon.request("POST", f"/exec/{exec_id}/start", {"Detach": True})[::2] == (200, b"")
    _, shape = daemon.json("GET", f"/exec/{exec_id}/json")
    assert (shape["Running"], shape["ExitCode"], shape["OpenStdin"]) == (False, 0, True)
    assert shape["ProcessConfig"] == {
        "tty": False,
        "entrypoint": "echo",
        "arguments": ["a", "b"],
        "privileged": False,
        "user": "1",
    }


def test_an_attached_exec_streams_on_its_connection(daemon: Daemon) -> None:
    running(daemon)
    exec_id = create(daemon, "echo", "hi", AttachStdout=True)
    head = f"POST /exec/{exec_id}/start HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}"
    with daemon.raw(head.encode() + b"behind") as connection:
        _, _, rest = read_all(connection).partition(b"\r\n\r\n")
    assert rest[8:] == b"hi\nbehind"


def test_an_exec_that_does_not_start_says_so_in_its_stream(daemon: Daemon) -> None:
    running(daemon)
    exec_id = create(daemon, "frobnicate", AttachStdout=True)
    head = f"POST /exec/{exec_id}/start HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}"
    with daemon.raw(head.encode()) as connection:
        _, _, rest = read_all(connection).partition(b"\r\n\r\n")
    assert rest[:1] == b"\x02"
    assert b"executable file not found in $PATH\r\n" in rest
    assert daemon.json("POST", f"/exec/{exec_id}/start", {"Detach": True})[0] == 400


def test_a_terminal_can_be_resized(daemon: Daemon) -> None:
    running(daemon)
    exec_id = create(daemon, "echo", Tty=True)
    assert daemon.request("POST", f"/exec/{exec_id}/resize?h=1&w=2")[0] == 200
    assert daemon.engine.execs.resized == [(1, 2)]


def test_an_unknown_exec_is_not_found(daemon: Daemon) -> None:
    assert daemon.json("POST", "/exec/nothing/start", {}) == (
        404,
        {"message": "No such exec instance: nothing"},
    )
