"""Frames are split wherever the bytes happen to be cut."""

from collections.abc import Sequence

import pytest

from dockerlab.client.streams import FrameDecoder
from tests.unit.client.scripted_engine import frame

WIRE = frame(1, b"hello") + frame(2, b"") + frame(2, b"oops") + frame(0, b"in")


def joined(pieces: Sequence[tuple[str, bytes]]) -> dict[str, bytes]:
    streams: dict[str, bytes] = {}
    for stream, data in pieces:
        streams[stream] = streams.get(stream, b"") + data
    return streams


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 13, len(WIRE)])
def test_the_cut_of_the_bytes_does_not_matter(size: int) -> None:
    decoder = FrameDecoder(is_multiplexed=True)
    pieces = []
    for begin in range(0, len(WIRE), size):
        pieces += decoder.feed(WIRE[begin : begin + size])
    assert joined(pieces) == {"stdout": b"helloin", "stderr": b"oops"}


def test_a_payload_is_given_before_its_frame_is_whole() -> None:
    decoder = FrameDecoder(is_multiplexed=True)
    assert decoder.feed(frame(1, b"hello")[:-2]) == [("stdout", b"hel")]


def test_without_frames_everything_is_stdout() -> None:
    decoder = FrameDecoder(is_multiplexed=False)
    assert decoder.feed(WIRE) == [("stdout", WIRE)]
