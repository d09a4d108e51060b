import threading
from collections.abc import Iterator

import pytest

from dockerlab.errors import BadDigest, ManifestNotFound, RegistryUnreachable, Unavailable
from dockerlab.image.registry.mirrors import RegistrySettings
from dockerlab.image.registry.session import Repository, Session
from dockerlab.oci.descriptor import OCI_LAYER_GZIP, Descriptor
from dockerlab.oci.digest import digest_of
from dockerlab.oci.reference import parse_reference
from tests.support.httpserver import Asked, Reply, running_server
from tests.support.pulling import HandmadeImage

_BLOB = b"0123456789" * 100


@pytest.fixture
def image() -> HandmadeImage:
    made = HandmadeImage()
    made.blobs[digest_of(_BLOB)] = _BLOB
    return made


@pytest.fixture
def repository(image: HandmadeImage) -> Iterator[Repository]:
    with running_server(image.respond) as server:
        session = Session(RegistrySettings())
        reference = parse_reference(f"{server.address}/team/app:1")
        yield session.repository(reference, threading.Event())
        session.close()


def _descriptor(size: int = len(_BLOB)) -> Descriptor:
    return Descriptor(media_type=OCI_LAYER_GZIP, digest=digest_of(_BLOB), size=size)


def test_a_manifest_comes_with_its_type_and_digest(
    repository: Repository, image: HandmadeImage
) -> None:
    fetched = repository.manifest("1")
    assert fetched.data == image.manifest
    assert fetched.media_type == "application/vnd.oci.image.manifest.v1+json"
    assert fetched.digest == digest_of(image.manifest)
    assert repository.manifest(fetched.digest) == fetched


def test_a_small_blob_is_checked(repository: Repository) -> None:
    assert repository.small_blob(_descriptor(), 2000) == _BLOB
    with pytest.raises(BadDigest):
        repository.small_blob(_descriptor(size=999), 2000)
    with pytest.raises(Unavailable, match="larger than 500 bytes"):
        repository.small_blob(_descriptor(), 500)


@pytest.mark.parametrize("offset", [0, 1, 999])
def test_a_blob_comes_from_an_offset(offset: int, repository: Repository) -> None:
    with repository.blob(_descriptor(), offset) as stream:
        assert b"".join(stream) == _BLOB[offset:]


def test_nothing_is_asked_before_it_is_needed_and_the_time_is_known(
    repository: Repository,
) -> None:
    assert repository.ready_s is None
    repository.manifest("1")
    assert repository.ready_s is not None


def test_a_pull_stays_with_the_mirror_that_answered(image: HandmadeImage) -> None:
    def nothing(asked: Asked) -> Reply:
        del asked
        return Reply(status=404)

    with running_server(nothing) as first, running_server(image.respond) as second:
        session = Session(RegistrySettings(mirrors=(first.url, second.url)))
        repository = session.repository(parse_reference("app"), threading.Event())
        repository.manifest("latest")
        repository.small_blob(_descriptor(), 2000)
        session.close()
    assert len(first.asked) == 1
    assert len(second.asked) == 2


def test_what_the_mirrors_said_is_kept_as_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = "dockerlab.image.registry.mirrors._DOCKER_HUB_URL"
    monkeypatch.setattr(hub, "https://127.0.0.1:1")
    with running_server(lambda _: Reply(status=404)) as mirror:
        session = Session(RegistrySettings(mirrors=(mirror.url,)))
        repository = session.repository(parse_reference("app"), threading.Event())
        with pytest.raises(RegistryUnreachable) as caught:
            repository.manifest("latest")
        session.close()
    assert caught.value.hint == (
        "before that: manifest for app:latest not found: manifest unknown: manifest unknown"
    )


def test_a_registry_that_answers_is_not_asked_another_way() -> None:
    with running_server(lambda _: Reply(status=404)) as server:
        session = Session(RegistrySettings())
        reference = parse_reference(f"{server.address}/app")
        with pytest.raises(ManifestNotFound):
            session.repository(reference, threading.Event()).manifest("latest")
        session.close()
        assert len(server.asked) == 1
