"""Standard streams: framing, half-close, backpressure, terminals, the log."""

import json
import socket
import struct
import time
from typing import Any

import pytest

from tests.support.boxes import TIMEOUT_S, Boxes, read_all, read_until

BIG = 2 << 20


def log_lines(box: Any) -> list[dict[str, str]]:
    # The last one may still be on its way.
    lines = box.log.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        stream, length = struct.unpack(">BxxxL", data[:8])
        found.append((stream, data[8 : 8 + length]))
        data = data[8 + length :]
    return found


def test_input_half_close_reaches_the_program_and_output_still_comes(boxes: Boxes) -> None:
    box = boxes.box("sh", "-c", "cat; exit 7")
    box.change(open_stdin=True)
    client = box.start(boxes.zygote)
    client.sendall(b"some input\n")
    client.shutdown(socket.SHUT_WR)

    assert read_all(client) == b"some input\n"
    assert box.expect("exited")["exit_code"] == 7


def test_bytes_behind_the_request_come_first(boxes: Boxes) -> None:
    box = boxes.box("cat")
    box.change(open_stdin=True)
    client = box.start(boxes.zygote, stdin=False)
    late, attached = socket.socketpair()
    request = {"stdin": True, "stdout": False, "stderr": False, "is_multiplexed": False}
    box.send({"type": "attach", **request, "leftover": "first "}, [attached.fileno()])
    attached.close()
    late.sendall(b"second\n")
    late.close()

    assert read_all(client) == b"first second\n"


def test_input_stays_open_when_it_is_not_once(boxes: Boxes) -> None:
    box = boxes.box("head", "-n", "2")
    box.change(open_stdin=True, stdin_once=False)
    first = box.start(boxes.zygote)
    first.sendall(b"one\n")
    first.shutdown(socket.SHUT_WR)
    second = box.attach(stdin=True)
    second.sendall(b"two\n")

    assert read_all(first) == b"one\ntwo\n"
    assert box.expect("exited")["exit_code"] == 0


def test_without_open_input_the_program_reads_nothing(boxes: Boxes) -> None:
    assert boxes.run("cat") == (0, "")


def test_a_client_that_hangs_up_ends_the_input(boxes: Boxes) -> None:
    box = boxes.box("cat")
    box.change(open_stdin=True)
    client = box.start(boxes.zygote)
    client.sendall(b"kept\n")
    client.close()

    assert box.expect("exited")["exit_code"] == 0
    assert [line["log"] for line in log_lines(box)] == ["kept\n"]


def test_frames_tell_the_streams_apart(boxes: Boxes) -> None:
    box = boxes.box("sh", "-c", "echo out; sleep 0.1; echo err >&2")
    client = box.start(boxes.zygote, multiplexed=True)

    assert frames(read_all(client)) == [(1, b"out\n"), (2, b"err\n")]
    assert [(line["stream"], line["log"]) for line in log_lines(box)] == [
        ("stdout", "out\n"),
        ("stderr", "err\n"),
    ]


@pytest.mark.parametrize("multiplexed", [False, True])
def test_output_to_a_slow_reader_is_whole(boxes: Boxes, *, multiplexed: bool) -> None:
    box = boxes.box("sh", "-c", f"seq 1 400000 | head -c {BIG}")
    client = box.start(boxes.zygote, multiplexed=multiplexed)
    box.expect("started")
    time.sleep(0.3)
    data = read_all(client)
    if multiplexed:
        data = b"".join(payload for _, payload in frames(data))

    expected = "".join(f"{n}\n" for n in range(1, 400001)).encode()[:BIG]
    assert data == expected
    box.expect("exited")
    assert "".join(line["log"] for line in log_lines(box)).encode() == expected


def test_a_reader_that_stops_holds_the_program_up_and_no_memory(boxes: Boxes) -> None:
    box = boxes.box("sh", "-c", f"yes | head -c {BIG}")
    client = box.start(boxes.zygote)
    box.expect("started")
    box.control.settimeout(0.5)
    with pytest.raises(TimeoutError):
        box.expect("exited")

    assert sum(len(line["log"]) for line in log_lines(box)) < BIG
    box.control.settimeout(TIMEOUT_S)
    client.close()
    assert box.expect("exited")["exit_code"] == 0


def test_a_client_that_never_reads_does_not_hold_up_the_end(boxes: Boxes) -> None:
    box = boxes.box("head", "-c", "600000", "/dev/zero")
    box.start(boxes.zygote)

    assert box.expect("exited")["exit_code"] == 0


def test_what_a_slow_client_has_not_read_survives_the_end(boxes: Boxes) -> None:
    box = boxes.box("head", "-c", "900000", "/dev/zero")
    client = box.start(boxes.zygote)
    box.expect("exited")

    assert len(read_all(client)) == 900000


def test_input_that_nobody_reads_does_not_block_its_client(boxes: Boxes) -> None:
    box = boxes.box("sh", "-c", "exec <&-; sleep 0.2; echo done")
    box.change(open_stdin=True)
    client = box.start(boxes.zygote)
    client.sendall(b"x" * (4 << 20))

    assert read_all(client) == b"done\n"


def test_large_input_arrives_whole(boxes: Boxes) -> None:
    box = boxes.box("wc", "-c")
    box.change(open_stdin=True)
    client = box.start(boxes.zygote)
    client.sendall(b"x" * (4 << 20))
    client.shutdown(socket.SHUT_WR)

    assert int(read_all(client)) == 4 << 20


def test_two_clients_see_the_same(boxes: Boxes) -> None:
    box = boxes.box("sh", "-c", "cat; echo end")
    box.change(open_stdin=True)
    first = box.start(boxes.zygote)
    box.expect("started")
    second = box.attach()
    first.sendall(b"for both\n")
    first.shutdown(socket.SHUT_WR)

    assert read_all(first) == read_all(second) == b"for both\nend\n"


def test_a_terminal_is_one_and_has_its_size(boxes: Boxes) -> None:
    box = boxes.box("sh", "-c", "tty; stty size; ls -l /dev/console | cut -c1; echo x > /dev/tty")
    box.change(terminal=True, open_stdin=True, tty_size=[33, 99])
    client = box.start(boxes.zygote)

    assert read_all(client) == b"/dev/pts/0\r\n33 99\r\nc\r\nx\r\n"
    assert box.expect("exited")["exit_code"] == 0


def test_a_terminal_is_resized_and_takes_control_characters(boxes: Boxes) -> None:
    box = boxes.box(
        "sh", "-c", "trap 'stty size; exit 5' INT; echo ready; while :; do sleep 1; done"
    )
    box.change(terminal=True, open_stdin=True)
    client = box.start(boxes.zygote)
    read_until(client, b"ready")
    box.send({"type": "resize", "rows": 11, "columns": 22})
    client.sendall(b"\x03")

    assert b"11 22" in read_all(client)
    assert box.expect("exited")["exit_code"] == 5


def test_the_first_byte_of_output_is_told_once(boxes: Boxes) -> None:
    box = boxes.box("sh", "-c", "echo a; sleep 0.05; echo b")
    box.start(boxes.zygote)
    box.expect("exited")

    assert [message["type"] for message in box.messages].count("output") == 1


def test_a_user_may_reopen_its_streams(boxes: Boxes) -> None:
    code, output = boxes.run("sh", "-c", "echo again > /dev/stdout", user="ann")

    assert (code, output) == (0, "again\n")


def test_long_lines_are_logged_in_parts(boxes: Boxes) -> None:
    box = boxes.box("sh", "-c", "head -c 40000 /dev/zero | tr '\\0' a; echo; printf tail")
    box.start(boxes.zygote)
    box.expect("exited")

    parts = [line["log"] for line in log_lines(box)]
    assert [len(part) for part in parts] == [16384, 16384, 40000 - 2 * 16384 + 1, 4]
    assert [part[-1] for part in parts] == ["a", "a", "\n", "l"]
