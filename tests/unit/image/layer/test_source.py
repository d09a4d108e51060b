import hashlib
import io

import pytest

from dockerlab.image.layer.fault import LayerFault
from dockerlab.image.layer.source import Source


def _source(data: bytes, limit: int = 1 << 20) -> Source:
    stream = io.BytesIO(data)
    return Source(lambda: stream.read(10), limit)


def test_every_byte_is_hashed_once_however_it_is_passed() -> None:
    data = bytes(range(100))
    source = _source(data)
    assert source.take(3) == data[:3]
    assert b"".join(source.pieces(20)) == data[3:23]
    source.skip(30)
    assert source.take_block(10) == data[53:63]
    source.drain()
    assert source.digest() == "sha256:" + hashlib.sha256(data).hexdigest()
    assert source.total_bytes == 100


def test_the_end_is_no_fault_only_between_blocks() -> None:
    source = _source(b"12345")
    with pytest.raises(LayerFault, match="ends early"):
        source.take_block(6)
    assert _source(b"").take_block(6) == b""


def test_skipping_beyond_the_end_is_a_fault() -> None:
    with pytest.raises(LayerFault, match="ends early"):
        _source(b"12345").skip(6)


def test_the_limit_is_of_uncompressed_bytes() -> None:
    with pytest.raises(LayerFault) as caught:
        _source(bytes(100), limit=99).drain()
    assert caught.value.kind == "limit"
