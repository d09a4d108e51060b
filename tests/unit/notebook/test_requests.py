"""Flags become the fields of the Engine API."""

from typing import Any

import pytest

from dockerlab.errors import InvalidArgument
from dockerlab.notebook.commands import RUN
from dockerlab.notebook.requests import run_request

ENVIRON = {"HOME": "/home/lab", "LANG": "C.UTF-8"}


def payload(line: str) -> dict[str, Any]:
    return run_request(RUN.parse(line), ENVIRON).payload()


def test_a_bare_image_sets_nothing() -> None:
    body = payload("hello-world")

    assert body["Image"] == "hello-world"
    assert "Cmd" not in body
    assert body["HostConfig"] == {}


@pytest.mark.parametrize(
    ("flags", "field", "value"),
    [
        ("-e A=1 -e B=x=y", "Env", ["A=1", "B=x=y"]),
        ("-e LANG -e NOT_SET", "Env", ["LANG=C.UTF-8"]),
        ("-w /srv", "WorkingDir", "/srv"),
        ("-u 1000:5", "User", "1000:5"),
        ("-h box", "Hostname", "box"),
        ("--entrypoint sh", "Entrypoint", ["sh"]),
        ("-l a=b --label c", "Labels", {"a": "b", "c": ""}),
    ],
)
def test_what_the_program_sees(flags: str, field: str, value: object) -> None:
    assert payload(f"{flags} image")[field] == value


@pytest.mark.parametrize(
    ("flags", "field", "value"),
    [
        ("--rm", "AutoRemove", True),
        ("-m 64m", "Memory", 64 << 20),
        ("--cpus 0.5", "NanoCpus", 500_000_000),
        ("--pids-limit 10", "PidsLimit", 10),
        ("--network host", "NetworkMode", "host"),
        ("--net none", "NetworkMode", "none"),
        ("--cap-add NET_ADMIN --cap-add SYS_PTRACE", "CapAdd", ["NET_ADMIN", "SYS_PTRACE"]),
        ("--cap-drop ALL", "CapDrop", ["ALL"]),
        ("--read-only", "ReadonlyRootfs", True),
    ],
)
def test_what_the_host_gives(flags: str, field: str, value: object) -> None:
    assert payload(f"{flags} image")["HostConfig"] == {field: value}


def test_the_command_is_kept_word_by_word() -> None:
    assert payload("busybox sh -c 'echo $HOME'")["Cmd"] == ["sh", "-c", "echo $HOME"]


def test_a_cell_is_standard_input() -> None:
    body = run_request(RUN.parse("image"), ENVIRON, b"text\n").payload()

    assert (body["AttachStdin"], body["OpenStdin"], body["StdinOnce"]) == (True, True, True)


def test_an_interactive_line_has_an_empty_input_and_does_not_wait_for_ever() -> None:
    assert run_request(RUN.parse("-i image"), ENVIRON).stdin == b""


def test_an_interactive_detached_container_keeps_its_input_open() -> None:
    request = run_request(RUN.parse("-di image"), ENVIRON)

    assert request.stdin is None
    assert request.payload()["OpenStdin"]


@pytest.mark.parametrize("line", ["-e =x image", "--pull sometimes image", "-m lots image"])
def test_values_that_cannot_be_right_are_refused(line: str) -> None:
    with pytest.raises(InvalidArgument):
        run_request(RUN.parse(line), ENVIRON)


def test_a_detached_cell_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="-d"):
        run_request(RUN.parse("-d image"), ENVIRON, b"")
