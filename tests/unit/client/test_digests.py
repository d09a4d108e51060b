"""A tag is resolved once, of a registry on this machine only."""

from pathlib import Path

import pytest

from dockerlab.client.digests import is_loopback, resolve_digest
from dockerlab.errors import InvalidArgument, ManifestNotFound, Unavailable
from tests.support.registry import free_port, push_image, running_registry


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("127.0.0.1:5000", True),
        ("127.1.2.3", True),
        ("[::1]:5000", True),
        ("localhost:5000", True),
        ("hub.localhost", True),
        ("docker.io", False),
        ("10.0.0.1:5000", False),
        ("localhost.example.org:5000", False),
    ],
)
def test_what_is_on_this_machine(address: str, answer: bool) -> None:  # noqa: FBT001
    assert is_loopback(address) is answer


@pytest.mark.needs_registry
def test_the_digest_is_the_registrys(tmp_path: Path) -> None:
    with running_registry(tmp_path) as registry:
        pushed = push_image(registry.address, "library/x", "latest", [b""])

        wanted = f"{registry.address}/library/x@{pushed.manifest}"
        assert resolve_digest("x", registry.address) == wanted
        assert resolve_digest(f"{registry.address}/library/x") == wanted
        assert resolve_digest(f"ghcr.io/library/x@{pushed.manifest}", registry.address) == wanted
        with pytest.raises(ManifestNotFound, match="has no library/none:latest"):
            resolve_digest("none", registry.address)


def test_a_registry_elsewhere_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="its network would be measured") as caught:
        resolve_digest("hello-world")

    assert "--registry" in caught.value.hint


def test_a_registry_that_does_not_answer_is_one_sentence() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        resolve_digest("x", f"127.0.0.1:{free_port()}")
