import gzip
import os
import threading
import zlib

import pytest
import zstandard

from dockerlab.image.layer.compression import PIECE_BYTES, open_reader
from dockerlab.image.layer.fault import LayerFault

_DATA = os.urandom(300_000) + bytes(3_000_000)


def _decompress(data: bytes, *, step: int = 1 << 20) -> bytes:
    """Read through a pipe that is written `step` bytes at a time."""
    reader_fd, writer_fd = os.pipe()

    def write() -> None:
        with os.fdopen(writer_fd, "wb", buffering=0) as pipe:
            for at in range(0, len(data), step):
                try:
                    pipe.write(data[at : at + step])
                except BrokenPipeError:
                    return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        reader, found = open_reader(reader_fd), b""
        while piece := reader():
            assert len(piece) <= PIECE_BYTES
            found += piece
        return found
    finally:
        os.close(reader_fd)
        thread.join()


_GOOD = {
    "gzip": gzip.compress(_DATA, 1),
    "gzip of many members": b"".join(
        gzip.compress(_DATA[at : at + 400_000], 1) for at in range(0, len(_DATA), 400_000)
    ),
    "gzip with an empty member": gzip.compress(b"") + gzip.compress(_DATA, 1) + gzip.compress(b""),
    "gzip padded with zeros": gzip.compress(_DATA, 1) + bytes(1000),
    "zstd": zstandard.compress(_DATA, 1),
    "zstd of many frames": zstandard.compress(_DATA[:1000]) + zstandard.compress(_DATA[1000:]),
    "zstd behind a skippable frame": b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstandard.compress(_DATA),
    "none": _DATA,
}


@pytest.mark.parametrize("step", [1 << 20, 4099])
@pytest.mark.parametrize("data", _GOOD.values(), ids=_GOOD.keys())
def test_what_was_compressed_comes_back(data: bytes, step: int) -> None:
    assert _decompress(data, step=step) == _DATA


def test_one_byte_at_a_time_is_enough() -> None:
    for data in (
        gzip.compress(b"abc"),
        gzip.compress(b"a") + gzip.compress(b"bc") + b"\0\0",
        b"abc",
    ):
        assert _decompress(data, step=1) == b"abc"
    assert _decompress(b"") == b""
    assert _decompress(b"a") == b"a"


_BAD = {
    "a gzip stream that ends early": gzip.compress(_DATA, 1)[:-1000],
    "a gzip stream without its trailer": gzip.compress(_DATA, 1)[:-3],
    "a gzip stream with a wrong sum": gzip.compress(b"abc")[:-8] + bytes(8),
    "a gzip header alone": gzip.compress(_DATA)[:10],
    "a damaged gzip stream": gzip.compress(_DATA, 1)[:100] + b"\xff" * 5000,
    "something behind gzip": gzip.compress(_DATA, 1) + b"garbage",
    "something behind gzip's padding": gzip.compress(_DATA, 1) + bytes(100) + b"x",
    "half a second member": gzip.compress(_DATA, 1) + gzip.compress(_DATA, 1)[:50],
    "a damaged zstd stream": zstandard.compress(b"abcdefgh" * 9999)[:20] + b"\xff" * 50,
    "something behind zstd": zstandard.compress(_DATA, 1) + b"garbage!",
}


@pytest.mark.parametrize("data", _BAD.values(), ids=_BAD.keys())
def test_a_damaged_stream_is_a_fault(data: bytes) -> None:
    with pytest.raises(LayerFault) as caught:
        _decompress(data)
    assert caught.value.kind == "tar"


def test_a_bomb_comes_in_bounded_pieces() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(bytes(64 << 20)) + packer.flush()
    assert len(bomb) < 100_000
    assert len(_decompress(bomb)) == 64 << 20


def test_a_zstd_bomb_comes_in_bounded_pieces() -> None:
    bomb = zstandard.compress(bytes(64 << 20), 19)
    assert len(bomb) < 100_000
    assert len(_decompress(bomb)) == 64 << 20


def test_a_zstd_window_beyond_128_mib_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28, compression_level=1)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = packer.compress(os.urandom(1 << 20)) + packer.flush()
    with pytest.raises(LayerFault):
        _decompress(data)
