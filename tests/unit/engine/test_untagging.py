"""Docker's rules of `rmi`."""

import pytest

from dockerlab.engine.container import ContainerState
from dockerlab.engine.untagging import chain_ids, check_removal, names_to_drop
from dockerlab.errors import Conflict
from dockerlab.oci.digest import digest_of
from tests.unit.engine.records import a_container, an_image

D = digest_of(b"manifest")
TAG, OTHER_TAG = "docker.io/library/x:1", "docker.io/library/x:2"
BY_DIGEST, ELSEWHERE = f"docker.io/library/x@{D}", "r.example/x:1"


def test_the_last_tag_of_a_repository_takes_its_digests_along() -> None:
    assert names_to_drop([TAG, BY_DIGEST], TAG) == [TAG, BY_DIGEST]


def test_another_tag_of_the_repository_keeps_the_digest() -> None:
    assert names_to_drop([TAG, OTHER_TAG, BY_DIGEST], TAG) == [TAG]


def test_another_repository_keeps_its_names() -> None:
    assert names_to_drop([TAG, BY_DIGEST, ELSEWHERE], TAG) == [TAG, BY_DIGEST]


def test_an_id_takes_all() -> None:
    assert names_to_drop([TAG, ELSEWHERE], None) == [TAG, ELSEWHERE]


def test_a_used_image_keeps_its_last_reference_unless_forced() -> None:
    user = a_container()
    with pytest.raises(Conflict, match=r'unable to remove repository reference "x:1" \(must force'):
        check_removal("x:1", an_image(), [TAG], TAG, [user], force=False)
    check_removal("x:1", an_image(), [TAG], TAG, [user], force=True)
    check_removal("x:1", an_image(), [TAG, ELSEWHERE], TAG, [user], force=False)


def test_a_running_container_forbids_deletion_by_id_even_by_force() -> None:
    running = a_container(state=ContainerState(status="running"))
    with pytest.raises(Conflict, match=r"\(cannot be forced\).* running container"):
        check_removal("abc", an_image(), [TAG], None, [running], force=True)


def test_a_stopped_container_and_several_repositories_want_force_by_id() -> None:
    with pytest.raises(Conflict, match="used by stopped container"):
        check_removal("abc", an_image(), [TAG], None, [a_container()], force=False)
    with pytest.raises(Conflict, match="referenced in multiple repositories"):
        check_removal("abc", an_image(), [TAG, ELSEWHERE], None, [], force=False)
    check_removal("abc", an_image(), [TAG, ELSEWHERE], None, [a_container()], force=True)


def test_a_chain_id_is_of_all_layers_up_to_it() -> None:
    a, b, c = (digest_of(x) for x in (b"a", b"b", b"c"))
    first, second, third = chain_ids([a, b, c])
    assert first == a
    assert second == digest_of(f"{a} {b}".encode())
    assert third == digest_of(f"{second} {c}".encode())
