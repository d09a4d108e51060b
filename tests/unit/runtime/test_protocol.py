import errno
import socket

import pytest

from dockerlab.runtime import protocol
from dockerlab.runtime.protocol import Step, StepFailure, classify_failure


def test_messages_go_there_and_back() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        protocol.send(ours, {"type": "exited", "exit_code": 7})
        assert protocol.receive(theirs) == ({"type": "exited", "exit_code": 7}, [])
        ours.shutdown(socket.SHUT_WR)
        assert protocol.receive(theirs) == (None, [])


def test_names_that_are_no_unicode_go_there_and_back() -> None:
    message = {"type": "failed", "path": b"/\xff".decode("utf-8", "surrogateescape")}

    assert protocol.decode(protocol.encode(message)) == message


@pytest.mark.parametrize("data", [b"", b"x", b"[]", b"7"])
def test_what_is_no_message_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        protocol.decode(data)


def test_a_step_names_an_os_error() -> None:
    with pytest.raises(StepFailure) as caught, Step("mount", "/proc"):
        raise OSError(errno.EPERM, "Operation not permitted", "/other")

    failure = caught.value
    assert (failure.step, failure.errno, failure.path) == ("mount", errno.EPERM, "/proc")
    assert failure.message == 'mount "/proc": Operation not permitted'


def test_a_step_takes_the_errors_own_path() -> None:
    with pytest.raises(StepFailure) as caught, Step("rootfs"):
        raise OSError(errno.ENOENT, "No such file or directory", b"/layer\xff")

    assert caught.value.path == "/layer\ufffd"


def test_a_step_lets_everything_else_through() -> None:
    with pytest.raises(KeyError), Step("mount"):
        raise KeyError("x")


def test_a_failure_goes_there_and_back() -> None:
    failure = StepFailure("exec", errno.ENOENT, "sh", "no sh")

    assert vars(StepFailure.from_message(failure.to_message())) == vars(failure)


@pytest.mark.parametrize(
    ("step", "number", "code"),
    [
        ("exec", errno.ENOENT, 127),
        ("exec", errno.ENOTDIR, 127),
        ("exec", errno.EACCES, 126),
        ("exec", errno.EISDIR, 126),
        ("exec", errno.ENOEXEC, 126),
        ("exec", errno.ENOMEM, 125),
        ("mount", errno.ENOENT, 125),
        ("user", errno.ENOENT, 125),
        ("cgroup", errno.EACCES, 125),
    ],
)
def test_the_exit_code_comes_from_step_and_errno(step: str, number: int, code: int) -> None:
    assert classify_failure(step, number) == code
