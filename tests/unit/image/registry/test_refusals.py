import pytest

from dockerlab.errors import (
    DockerlabError,
    ManifestNotFound,
    RegistryUnreachable,
    Unauthorized,
    Unavailable,
)
from dockerlab.image.registry.refusals import Refusal, refusal_error
from dockerlab.oci.reference import parse_reference


def _error(
    status: int,
    text: str,
    *,
    is_denied: bool = False,
    is_manifest: bool = True,
    is_plain: bool = False,
) -> DockerlabError:
    refusal = Refusal(
        status=status,
        text=text,
        host="registry.example",
        is_denied=is_denied,
        is_manifest=is_manifest,
        is_plain=is_plain,
    )
    return refusal_error(refusal, parse_reference("hello-world:x"))


_DENIED = (
    "pull access denied for hello-world, repository does not exist or may require 'docker login': "
    "denied: requested access to the resource is denied"
)


@pytest.mark.parametrize(
    "error",
    [
        _error(401, "unauthorized: authentication required", is_denied=True),
        _error(403, "received unexpected HTTP status: 403"),
        _error(404, "denied: requested access to the resource is denied"),
    ],
)
def test_a_denied_pull_is_docker_s_sentence(error: DockerlabError) -> None:
    assert isinstance(error, ManifestNotFound)
    assert error.message == _DENIED


def test_a_registry_s_own_words_for_denied_are_kept() -> None:
    error = _error(403, "denied: this is a private project")
    assert error.message.endswith(": denied: this is a private project")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            _error(404, "manifest unknown: OCI index found, but accept header does not support"),
            ManifestNotFound,
            "manifest for hello-world:x not found: manifest unknown: manifest unknown",
        ),
        (
            _error(404, "received unexpected HTTP status: 404 Not Found"),
            ManifestNotFound,
            "manifest for hello-world:x not found: manifest unknown: manifest unknown",
        ),
        (
            _error(404, "name unknown: repository name not known to registry"),
            ManifestNotFound,
            "repository hello-world not found: name unknown: repository name not known to registry",
        ),
        (
            _error(404, "blob unknown: not here", is_manifest=False),
            Unavailable,
            '"registry.example" does not have all of "hello-world": blob unknown: not here',
        ),
        (
            _error(401, "unauthorized: authentication required"),
            Unauthorized,
            'cannot pull "hello-world": unauthorized: authentication required',
        ),
        (
            _error(400, "Client sent an HTTP request to an HTTPS server.", is_plain=True),
            RegistryUnreachable,
            '"registry.example" answers over TLS only',
        ),
        (
            _error(400, "name invalid: invalid repository name"),
            Unavailable,
            '"registry.example" refuses "hello-world": name invalid: invalid repository name',
        ),
    ],
)
def test_every_refusal_has_its_kind_and_its_words(
    error: DockerlabError, kind: type[DockerlabError], message: str
) -> None:
    assert type(error) is kind
    assert error.message == message
