import os
import threading
from pathlib import Path

import pytest

from dockerlab.errors import Cancelled, EngineFailure
from dockerlab.image.registry.feed import Feed
from dockerlab.image.registry.unpacking import Unpacked
from dockerlab.oci.digest import Digest
from tests.support.descriptors import count_descriptors

_REPORT = Unpacked(entries=1, size_bytes=2, begin_s=0.0, end_s=1.0)


class _Reader:
    """A worker in a thread that reads to the end, or only `limit` bytes, or nothing until told."""

    def __init__(self, *, limit: int | None = None, go: threading.Event | None = None) -> None:
        self._limit = limit
        self._go = go
        self.read = b""
        self.has_ended = False

    def start(self, diff_id: Digest, staging: Path, media_type: str, data_fd: int) -> "_Reader":
        assert (diff_id, staging, media_type) == ("sha256:x", Path("/staging"), "type")
        self._thread = threading.Thread(target=self._run, args=(data_fd,))
        self._thread.start()
        return self

    def _run(self, fd: int) -> None:
        if self._go is not None:
            self._go.wait(20)
        with os.fdopen(fd, "rb") as pipe:
            self.read = pipe.read() if self._limit is None else pipe.read(self._limit)

    def result(self) -> Unpacked:
        self._thread.join()
        self.has_ended = True
        if self._limit is not None:
            raise EngineFailure("had enough")
        return _REPORT


def _start(feed: Feed) -> None:
    feed.start(Digest("sha256:x"), Path("/staging"), "type")


def test_everything_arrives_and_the_report_comes_back() -> None:
    before, reader, data = count_descriptors(), _Reader(), os.urandom(3 << 20)
    with Feed(reader, threading.Event()) as feed:
        _start(feed)
        feed.write(data[:100])
        feed.write(data[100:])
        assert feed.finish() == _REPORT
    assert reader.read == data
    assert count_descriptors() == before


def test_a_worker_that_gives_up_is_heard_at_the_end() -> None:
    with Feed(_Reader(limit=10), threading.Event()) as feed:
        _start(feed)
        for _ in range(100):
            feed.write(bytes(100_000))
        with pytest.raises(EngineFailure, match="had enough"):
            feed.finish()


def test_an_error_of_ours_ends_the_worker_and_waits_for_it() -> None:
    before, reader = count_descriptors(), _Reader()

    def fail() -> None:
        with Feed(reader, threading.Event()) as feed:
            _start(feed)
            feed.write(b"abc")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert reader.has_ended
    assert reader.read == b"abc"
    assert count_descriptors() == before


def test_a_busy_worker_does_not_keep_a_pull_from_ending() -> None:
    stop, go = threading.Event(), threading.Event()
    stop_later = threading.Timer(0.2, stop.set)
    stop_later.start()
    with Feed(_Reader(go=go), stop) as feed:
        _start(feed)
        with pytest.raises(Cancelled):
            feed.write(bytes(10 << 20))
        go.set()
    stop_later.join()


def test_a_worker_that_cannot_be_started_leaves_no_descriptor() -> None:
    class Broken:
        def start(self, diff_id: Digest, staging: Path, media_type: str, data_fd: int) -> _Reader:
            del diff_id, staging, media_type
            os.close(data_fd)
            raise EngineFailure("the zygote is gone")

    before = count_descriptors()
    with pytest.raises(EngineFailure, match="gone"), Feed(Broken(), threading.Event()) as feed:
        _start(feed)
    assert count_descriptors() == before
