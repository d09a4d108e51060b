"""Image references: parse, normalise, show.

`hello-world` means `docker.io/library/hello-world:latest`. The first part is a registry when it has
a dot or a colon or is `localhost`; otherwise Docker Hub is meant, and a single name there is in
`library/`. A digest says exactly which bytes; a tag can be moved. The grammar is distribution's
(https://pkg.go.dev/github.com/distribution/reference).
"""

import re

import msgspec

from dockerlab.errors import BadDigest, BadReference
from dockerlab.oci.digest import Digest, parse_digest

__all__ = [
    "DOCKER_HUB",
    "Reference",
    "is_image_id",
    "names_one",
    "parse_reference",
    "parse_registry",
]

DOCKER_HUB = "docker.io"
# The second is its name in references of old and in clients' configuration.
_DOCKER_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io"})
_DEFAULT_TAG = "latest"
_MAX_NAME = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_IMAGE_ID = re.compile(r"(?:sha256:)?[0-9a-f]{1,64}", re.ASCII)


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A normalised reference. `tag` is '' only when there is a `digest`."""

    registry: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @property
    def name(self) -> str:
        """Registry and repository, in full."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar_name(self) -> str:
        """The name as people type it: without Docker Hub and its `library/`."""
        if self.registry != DOCKER_HUB:
            return self.name
        return self.repository.removeprefix("library/")

    @property
    def familiar(self) -> str:
        """The whole reference as people type it, with its tag or digest."""
        return self.familiar_name + self._suffix()

    @property
    def target(self) -> str:
        """What a registry is asked for: the digest if there is one, else the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        return self.name + self._suffix()

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return tag + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """Parse what a user typed into its normalised form.

    Raises
    ------
    BadReference
        The text is outside the grammar; the message says which part.

    Examples
    --------
    >>> str(parse_reference("hello-world"))
    'docker.io/library/hello-world:latest'
    >>> parse_reference("127.0.0.1:5000/a/b:1").familiar
    '127.0.0.1:5000/a/b:1'
    """
    if re.fullmatch(r"[0-9a-f]{64}", text):
        raise _bad(text, "64 hex digits are an image id, not a repository name")
    rest, digest = _split_digest(text)
    registry, rest = _split_registry(rest)
    repository, colon, tag = rest.partition(":")
    if repository != repository.lower():
        raise _bad(text, "repository name must be lowercase")
    if not _REPOSITORY.fullmatch(repository):
        raise _bad(text, "the repository name is outside the grammar")
    if (colon and not _TAG.fullmatch(tag)) or not _REGISTRY.fullmatch(registry):
        raise _bad(text, f"the {'tag' if colon else 'registry'} is outside the grammar")
    if registry in _DOCKER_HUB_NAMES:
        registry = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    if len(registry) + len(repository) + 1 > _MAX_NAME:
        raise _bad(text, f"repository name must not be more than {_MAX_NAME} characters")
    if not tag and digest is None:
        tag = _DEFAULT_TAG
    return Reference(registry=registry, repository=repository, tag=tag, digest=digest)


def parse_registry(text: str) -> str:
    """Return the name of a registry as references have it, from what users and clients call it.

    Raises
    ------
    BadReference
        It is no host, with or without a port.

    Examples
    --------
    >>> parse_registry("https://index.docker.io/v1/"), parse_registry("http://lab:5000/v2/")
    ('docker.io', 'lab:5000')
    """
    scheme, colon, rest = text.strip().partition("://")
    host = (rest if colon and scheme in ("http", "https") else text.strip()).partition("/")[0]
    host = host.lower()
    if not host or host in _DOCKER_HUB_NAMES:
        return DOCKER_HUB
    if not _REGISTRY.fullmatch(host):
        raise BadReference(
            f'invalid registry "{text[:300]}": expected a host, as registry.example:5000'
        )
    return host


def is_image_id(text: str) -> bool:
    """Tell whether `text` may be a (shortened) image id: hex digits, perhaps behind `sha256:`."""
    return _IMAGE_ID.fullmatch(text) is not None


def names_one(text: str) -> bool:
    """Tell whether a reference as typed has a tag or a digest, or is a whole repository's name.

    Examples
    --------
    >>> names_one("a/b:1"), names_one("localhost:5000/a/b")
    (True, False)
    """
    return "@" in text or ":" in text.rpartition("/")[2]


def _split_digest(text: str) -> tuple[str, Digest | None]:
    rest, at, digest = text.partition("@")
    if not at:
        return rest, None
    try:
        return rest, parse_digest(digest)
    except BadDigest as exc:
        raise _bad(text, exc.message) from exc


def _split_registry(rest: str) -> tuple[str, str]:
    first, slash, remainder = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        return first, remainder
    return DOCKER_HUB, rest


def _bad(text: str, why: str) -> BadReference:
    return BadReference(f'invalid reference format: "{text[:300]}": {why}')
