import os
import threading
from pathlib import Path

import pytest

from dockerlab.errors import BadDigest, Conflict, InvalidArgument, NotFound
from dockerlab.image.content import ContentStore
from dockerlab.oci.digest import digest_of, hex_of
from tests.support.descriptors import count_descriptors

_DATA = os.urandom(100_000)
_DIGEST = digest_of(_DATA)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def test_a_blob_is_seen_only_after_its_commit(store: ContentStore) -> None:
    with store.ingest(_DIGEST, len(_DATA)) as ingest:
        ingest.write(_DATA[:10])
        ingest.write(_DATA[10:])
        assert not store.has(_DIGEST)
        ingest.commit()
    assert store.read(_DIGEST, len(_DATA)) == _DATA
    assert list(store.digests()) == [_DIGEST]
    assert store.partials() == {}


def test_an_ingest_left_without_commit_goes_on_where_it_was(store: ContentStore) -> None:
    with store.ingest(_DIGEST, len(_DATA)) as ingest:
        ingest.write(_DATA[:40_000])
    assert store.partials() == {_DIGEST: 40_000}
    with store.ingest(_DIGEST, len(_DATA)) as ingest:
        assert ingest.resumed == ingest.offset == 40_000
        assert b"".join(ingest.written()) == _DATA[:40_000]
        ingest.write(_DATA[40_000:])
        ingest.commit()
    assert store.has(_DIGEST)


def test_wrong_bytes_are_thrown_away(store: ContentStore) -> None:
    with store.ingest(_DIGEST, len(_DATA)) as ingest:
        ingest.write(b"x" * len(_DATA))
        with pytest.raises(BadDigest, match="arrived with the digest"):
            ingest.commit()
    assert not store.has(_DIGEST)
    assert store.partials() == {}


def test_too_few_bytes_are_not_committed(store: ContentStore) -> None:
    with store.ingest(_DIGEST, len(_DATA)) as ingest:
        ingest.write(_DATA[:5])
        with pytest.raises(BadDigest, match="ended after 5 of"):
            ingest.commit()


def test_more_bytes_than_promised_are_refused_as_they_come(store: ContentStore) -> None:
    with store.ingest(_DIGEST, 10) as ingest, pytest.raises(BadDigest, match="longer than the 10"):
        ingest.write(_DATA)


def test_a_partial_that_is_too_long_is_begun_anew(store: ContentStore) -> None:
    with store.ingest(_DIGEST, 1000) as ingest:
        ingest.write(bytes(1000))
    with store.ingest(_DIGEST, 500) as ingest:
        assert ingest.offset == 0


def test_restart_begins_at_the_first_byte(store: ContentStore) -> None:
    with store.ingest(_DIGEST, len(_DATA)) as ingest:
        ingest.write(bytes(1000))
        ingest.restart()
        ingest.write(_DATA)
        ingest.commit()
    assert store.read(_DIGEST, len(_DATA)) == _DATA


def test_an_ingest_without_a_byte_leaves_nothing(store: ContentStore) -> None:
    with store.ingest(_DIGEST, 10):
        pass
    assert store.partials() == {}


def test_one_writes_and_the_other_waits_and_finds_it(store: ContentStore) -> None:
    found = []

    def second() -> None:
        with store.ingest(_DIGEST, len(_DATA)) as ingest:
            found.append(store.has(_DIGEST))
            ingest.discard()

    with store.ingest(_DIGEST, len(_DATA)) as ingest:
        thread = threading.Thread(target=second)
        thread.start()
        ingest.write(_DATA)
        ingest.commit()
    thread.join()
    assert found == [True]
    assert store.has(_DIGEST)


def test_waiting_for_a_writer_can_be_cancelled(store: ContentStore) -> None:
    cancelled = threading.Event()
    cancelled.set()
    before = count_descriptors()
    with (
        store.ingest(_DIGEST, 10),
        pytest.raises(Conflict, match="another pull"),
        store.ingest(_DIGEST, 10, cancelled=cancelled),
    ):
        pass
    assert count_descriptors() == before


def test_put_stores_and_stores_again(store: ContentStore) -> None:
    assert store.put(_DATA) == store.put(_DATA) == _DIGEST
    assert store.put(b"") == digest_of(b"")
    assert store.read(digest_of(b""), 0) == b""


def test_put_does_not_trust_what_an_earlier_attempt_left(store: ContentStore) -> None:
    with store.ingest(_DIGEST, len(_DATA)) as ingest:
        ingest.write(bytes(1000))
    store.put(_DATA)
    assert store.read(_DIGEST, len(_DATA)) == _DATA


def test_reading_is_bounded_and_checked(store: ContentStore) -> None:
    store.put(_DATA)
    with pytest.raises(InvalidArgument, match="larger than 10 bytes"):
        store.read(_DIGEST, 10)
    store.path(_DIGEST).write_bytes(b"damaged")
    with pytest.raises(BadDigest, match="damaged on disk"):
        store.read(_DIGEST, 100)
    store.delete(_DIGEST)
    store.delete(_DIGEST)
    with pytest.raises(NotFound, match="no such blob"):
        store.read(_DIGEST, 10)


def test_only_a_digest_becomes_a_path(store: ContentStore) -> None:
    with pytest.raises(BadDigest):
        store.path("sha256:../../etc/passwd")  # type: ignore[arg-type]


def test_the_folder_is_an_oci_layout(store: ContentStore, tmp_path: Path) -> None:
    store.put(_DATA)
    assert (tmp_path / "content/blobs/sha256" / hex_of(_DIGEST)).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "content/oci-layout").read_text() == '{"imageLayoutVersion":"1.0.0"}'


def test_partials_can_be_thrown_away(store: ContentStore) -> None:
    with store.ingest(_DIGEST, len(_DATA)) as ingest:
        ingest.write(_DATA[:10])
    store.discard_partials()
    assert store.partials() == {}
