import os
import socket

import pytest

from dockerlab.kernel.fds import OwnedFd, recv_message, send_message


def test_descriptors_travel_with_their_message() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader, writer = os.pipe()
    with ours, theirs:
        send_message(ours, b"hello", [reader, writer])
        data, fds = recv_message(theirs)

    assert data == b"hello"
    assert len(fds) == 2
    assert not any(os.get_inheritable(fd) for fd in fds)
    os.write(fds[1], b"x")
    assert os.read(reader, 1) == b"x"
    for fd in (reader, writer, *fds):
        os.close(fd)


def test_messages_keep_their_borders_and_the_end_is_empty() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        send_message(ours, b"one")
        send_message(ours, b"two")
        ours.close()

        assert [recv_message(theirs)[0] for _ in range(3)] == [b"one", b"two", b""]


def test_an_owned_descriptor_is_closed_once() -> None:
    reader, writer = os.pipe()
    owned = OwnedFd(reader)
    with owned as number:
        assert number == reader
    owned.close()

    assert owned.fileno() == -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.read(reader, 1)
    os.close(writer)


def test_a_released_descriptor_stays_open() -> None:
    reader, writer = os.pipe()
    owned = OwnedFd(reader)

    assert owned.release() == reader
    owned.close()
    os.close(reader)
    os.close(writer)
