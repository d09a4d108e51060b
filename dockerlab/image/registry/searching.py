"""Searching a registry: by Docker Hub's own search, or through the list of its repositories.

The distribution protocol has no search. Docker Hub and some others answer ``/v1/search``; most have
a catalogue (Docker's extension ``/v2/_catalog``), which is looked through here.
"""

import threading
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from dockerlab.errors import RegistryUnreachable, Unavailable
from dockerlab.image.registry.auth import Access
from dockerlab.image.registry.credential import Credentials
from dockerlab.image.registry.mirrors import Endpoint
from dockerlab.image.registry.transport import (
    Answer,
    Broken,
    Transport,
    describe_errors,
    host_of,
    read_limited,
)
from dockerlab.oci.reference import DOCKER_HUB

__all__ = ["SearchResult", "search"]

# Docker Hub's search is not where its images are.
_DOCKER_HUB_URL = "https://index.docker.io"
_MAX_ANSWER_BYTES = 4 << 20
_CATALOG_ENTRIES = 1000
_OK, _UNAUTHORIZED, _NOT_FOUND = 200, 401, 404


T = TypeVar("T")


class SearchResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One repository that was found (Engine API, ImageSearch)."""

    name: str
    description: str = ""
    is_official: bool = False
    is_automated: bool = False
    star_count: int = 0


class _Found(msgspec.Struct, frozen=True):
    results: tuple[SearchResult, ...] = ()


class _Catalog(msgspec.Struct, frozen=True):
    repositories: tuple[str, ...] | None = None


def search(
    term: str,
    limit: int,
    where: tuple[Endpoint, ...],
    transport: Transport,
    credentials: Credentials,
    stop: threading.Event,
) -> list[SearchResult]:
    """Return at most `limit` repositories for a term.

    Parameters
    ----------
    where : tuple of Endpoint
        Ways to the registry itself; the first that answers is asked.

    Raises
    ------
    RegistryUnreachable, Unauthorized, Unavailable
        As they say.
    """
    access = Access(transport, credentials, scopes=lambda _: ("registry:catalog:*",))
    *others, last = where
    for endpoint in others:
        try:
            return _search(term, limit, endpoint, transport, access, stop)
        except RegistryUnreachable:
            continue
    return _search(term, limit, last, transport, access, stop)


def _search(
    term: str,
    limit: int,
    endpoint: Endpoint,
    transport: Transport,
    access: Access,
    stop: threading.Event,
) -> list[SearchResult]:
    is_hub = endpoint.registry == DOCKER_HUB
    base = _DOCKER_HUB_URL if is_hub else endpoint.url
    url = f"{base}/v1/search?{urlencode({'q': term, 'n': limit})}"
    answer = transport.get(url, {}, verifies=endpoint.verifies, stop=stop)
    if answer.status == _OK:
        return list(_read(answer, _Found).results[:limit])
    if is_hub or answer.status not in (_NOT_FOUND, _UNAUTHORIZED):
        raise Unavailable(f'"{host_of(url)}" cannot be searched: {describe_errors(answer)}')
    answer.close()
    url = f"{endpoint.url}/v2/_catalog?{urlencode({'n': _CATALOG_ENTRIES})}"
    answer = transport.get(url, {}, verifies=endpoint.verifies, stop=stop)
    challenge = answer.headers.get("WWW-Authenticate", "")
    if answer.status == _UNAUTHORIZED and challenge:
        answer.close()
        header = access.answer(endpoint, "", challenge, stop)
        answer = transport.get(url, header, verifies=endpoint.verifies, stop=stop)
    if answer.status != _OK:
        raise Unavailable(f'"{host_of(url)}" cannot be searched: {describe_errors(answer)}')
    names = _read(answer, _Catalog).repositories or ()
    wanted = term.lower()
    found = [name for name in names if wanted in name.lower()][:limit]
    return [SearchResult(name=f"{endpoint.registry}/{name}") for name in found]


def _read(answer: Answer, kind: type[T]) -> T:
    host = answer.url or ""
    try:
        data = read_limited(answer, _MAX_ANSWER_BYTES, "the answer")
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, Broken) as exc:
        raise Unavailable(f'"{host_of(host)}" does not answer a search properly: {exc}') from exc
