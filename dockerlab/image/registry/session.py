"""The verbs of the distribution API that a pull needs: a manifest, a blob.

Neither what to do with them (`pull`) nor how a request travels (`transport`). A `Repository` asks
its endpoints in order and stays with the one that answered. See distribution-spec/spec.md#pull.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import msgspec

from dockerlab.errors import (
    BadDigest,
    DockerlabError,
    Forbidden,
    ManifestNotFound,
    RegistryUnreachable,
    Unauthorized,
    Unavailable,
)
from dockerlab.image.registry.auth import Access, parse_challenges
from dockerlab.image.registry.blobstream import BlobStream
from dockerlab.image.registry.certificates import Certificates
from dockerlab.image.registry.connection import Pools
from dockerlab.image.registry.credential import Credentials, no_credentials
from dockerlab.image.registry.mirrors import Endpoint, RegistrySettings, endpoints
from dockerlab.image.registry.proxies import Proxies
from dockerlab.image.registry.ratelimit import RateLimit, parse_rate_limit
from dockerlab.image.registry.refusals import Refusal, refusal_error
from dockerlab.image.registry.searching import SearchResult, search
from dockerlab.image.registry.tags import all_tags
from dockerlab.image.registry.target import Target, push_scopes
from dockerlab.image.registry.transport import (
    MAX_ATTEMPTS,
    Answer,
    Broken,
    Transport,
    connected_at,
    describe_errors,
    host_of,
    pause,
    read_limited,
    wait,
)
from dockerlab.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from dockerlab.oci.digest import Digest, digest_of
from dockerlab.oci.manifest import MAX_MANIFEST_BYTES
from dockerlab.oci.reference import Reference

__all__ = ["BlobStream", "FetchedManifest", "Repository", "Session"]

_ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_OK, _PARTIAL = 200, 206
_UNAUTHORIZED = 401

Result = TypeVar("Result")


class FetchedManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of a manifest or an index, what the registry calls them, and their digest."""

    data: bytes
    media_type: str
    digest: Digest


class Session:
    """What pulls share: connections and tokens. Threads may use one together.

    Parameters
    ----------
    settings : RegistrySettings
        What the user configured.
    credentials : callable
        What a registry is to be shown.
    transport : Transport, optional
        Sends the requests, in place of one with the settings' certificates.
    keep : callable
        Is given what registries say of limits, in whichever thread hears it.
    proxies : Proxies
        Who is asked through whom.
    """

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        credentials: Credentials = no_credentials,
        transport: Transport | None = None,
        keep: Callable[[RateLimit], None] | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self._settings = settings
        self._certificates = Certificates(settings.certificate_folders)
        pools = Pools(certificates=self._certificates, proxies=proxies)
        self._transport = transport or Transport(pools)
        self._access = Access(self._transport, credentials)
        self._credentials = credentials
        self._keep = keep

    def repository(self, reference: Reference, stop: threading.Event) -> "Repository":
        """Return the repository of a reference; no request is made yet.

        Parameters
        ----------
        reference : Reference
            Only registry and repository count.
        stop : Event
            Set: whatever waits gives up and raises Cancelled.
        """
        has_authority = bool(self._certificates.find(reference.registry).authorities)
        where = endpoints(reference.registry, self._settings, has_authority=has_authority)
        return Repository(reference, where, self._transport, self._access, stop, self._keep)

    def target(
        self, reference: Reference, mount_from: Sequence[str], stop: threading.Event
    ) -> "Target":
        """Return the repository of a reference to push to; mirrors are passed by.

        Parameters
        ----------
        mount_from : sequence of str
            Other repositories of the registry that blobs may be taken over from.
        """
        has_authority = bool(self._certificates.find(reference.registry).authorities)
        where = endpoints(reference.registry, self._settings, has_authority=has_authority)
        own = tuple(endpoint for endpoint in where if not endpoint.is_mirror)
        access = Access(self._transport, self._credentials, scopes=partial(push_scopes, mount_from))
        return Target(reference, own, self._transport, access, stop)

    def search(
        self, registry: str, term: str, limit: int, stop: threading.Event
    ) -> list[SearchResult]:
        """Return repositories of a registry; mirrors are passed by. See `searching.search`."""
        has_authority = bool(self._certificates.find(registry).authorities)
        where = endpoints(registry, self._settings, has_authority=has_authority)
        own = tuple(endpoint for endpoint in where if not endpoint.is_mirror)
        return search(term, limit, own, self._transport, self._credentials, stop)

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()


class Repository:
    """One repository during one pull.

    Attributes
    ----------
    ready_s : float or None
        When the first good request could be sent, connection and token at hand: the end of the
        phase `resolve`, on the monotonic clock.
    """

    def __init__(
        self,
        reference: Reference,
        where: tuple[Endpoint, ...],
        transport: Transport,
        access: Access,
        stop: threading.Event,
        keep: Callable[[RateLimit], None] | None = None,
    ) -> None:
        self._reference = reference
        self._keep = keep
        self._endpoints = where
        self._transport = transport
        self._access = access
        self._stop = stop
        self._current = 0
        self.ready_s: float | None = None

    def manifest(self, target: str) -> FetchedManifest:
        """Fetch a manifest or an index by tag or digest.

        Raises
        ------
        ManifestNotFound
            The registry has no such repository, no such tag, or does not show it to us.
        BadDigest
            The bytes do not have the digest that was asked for, or that the registry claims.
        Unauthorized, Forbidden, Unavailable, RegistryUnreachable
            As they say.
        """

        def ask(endpoint: Endpoint) -> FetchedManifest:
            """Ask one server."""
            url = f"{endpoint.url}/v2/{self._reference.repository}/manifests/{target}"
            data, answer = self._read(endpoint, url, MAX_MANIFEST_BYTES, "the manifest")
            digest = digest_of(data)
            claimed = answer.headers.get("Docker-Content-Digest", digest)
            expected = target if target.startswith("sha256:") else claimed
            if expected.startswith("sha256:") and expected != digest:
                raise BadDigest(
                    f'the manifest of "{self._reference.familiar}" arrived with the digest '
                    f"{digest}, not {expected}"
                )
            media_type = answer.headers.get("Content-Type", "")
            return FetchedManifest(data=data, media_type=media_type, digest=digest)

        return self._first(ask)

    def tags(self) -> list[str]:
        """List the tags of the repository; raises as `manifest` and `all_tags`."""

        def ask(endpoint: Endpoint) -> list[str]:
            """Ask one server."""

            def fetch(url: str) -> tuple[bytes, str]:
                """Fetch one page."""
                data, answer = self._read(endpoint, url, MAX_MANIFEST_BYTES, "the list of tags")
                return data, answer.headers.get("Link", "")

            first = f"{endpoint.url}/v2/{self._reference.repository}/tags/list"
            return all_tags(fetch, first, self._reference.familiar_name)

        return self._first(ask)

    def small_blob(self, descriptor: Descriptor, limit: int) -> bytes:
        """Fetch a blob into memory, checked.

        Raises
        ------
        BadDigest
            Size or digest differ from the descriptor's.
        Unavailable
            It is larger than `limit` bytes, or cannot be fetched.
        """
        if descriptor.size > limit:
            raise Unavailable(f"{descriptor.digest} is larger than {limit} bytes")

        def ask(endpoint: Endpoint) -> bytes:
            """Ask one server."""
            url = self._blob_url(endpoint, descriptor)
            data, _ = self._read(endpoint, url, limit, str(descriptor.digest))
            if len(data) != descriptor.size or digest_of(data) != descriptor.digest:
                raise BadDigest(
                    f"{descriptor.digest} arrived as {len(data)} bytes with the digest "
                    f"{digest_of(data)}"
                )
            return data

        return self._first(ask)

    @contextmanager
    def blob(self, descriptor: Descriptor, offset: int) -> Iterator[BlobStream]:
        """Open a blob from `offset` on; its bytes are for the caller to check.

        Raises
        ------
        ManifestNotFound, BadDigest, Unavailable, …
            As `manifest`; BadDigest when the announced length is not the descriptor's.
        """
        answer = self._first(lambda endpoint: self._open_blob(endpoint, descriptor, offset))
        self._transport.follow_up(answer)
        is_whole = False
        try:
            # What was set in between has not seen this answer.
            wait(self._stop, 0)
            yield BlobStream(answer, 0 if answer.status == _PARTIAL else offset)
            is_whole = True
        finally:
            self._transport.finish(answer, reusable=is_whole)

    def abort(self) -> None:
        """Break off what is being read."""
        self._transport.abort()

    def _first(self, ask: Callable[[Endpoint], Result]) -> Result:
        """Return the first good answer, beginning with the endpoint that gave the last one."""
        failures: list[DockerlabError] = []
        for index in range(self._current, len(self._endpoints)):
            endpoint = self._endpoints[index]
            try:
                result = ask(endpoint)
            except (ManifestNotFound, Unauthorized, Forbidden, Unavailable, BadDigest) as exc:
                # Behind a mirror stands the real registry. A registry's own second endpoint is only
                # another way to the same one, for when nobody is at the first.
                if not endpoint.is_mirror and not isinstance(exc, RegistryUnreachable):
                    raise
                failures.append(exc)
            else:
                self._current = index
                return result
        raise self._most_telling(failures)

    def _most_telling(self, failures: list[DockerlabError]) -> DockerlabError:
        last = failures[-1]
        if len(failures) > 1 and not last.hint:
            last.hint = "; ".join(f"before that: {failure.message}" for failure in failures[:-1])
        return last

    def _blob_url(self, endpoint: Endpoint, descriptor: Descriptor) -> str:
        return f"{endpoint.url}/v2/{self._reference.repository}/blobs/{descriptor.digest}"

    def _read(self, endpoint: Endpoint, url: str, limit: int, what: str) -> tuple[bytes, Answer]:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            answer = self._get(endpoint, url, {"Accept": _ACCEPT})
            try:
                return read_limited(answer, limit, what), answer
            except Broken as exc:
                if attempt == MAX_ATTEMPTS:
                    raise Unavailable(f'"{host_of(url)}" breaks off: {exc}') from exc
            wait(self._stop, pause(attempt))
        raise AssertionError("the loop ends by itself")

    def _open_blob(self, endpoint: Endpoint, descriptor: Descriptor, offset: int) -> Answer:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self._get(endpoint, self._blob_url(endpoint, descriptor), headers)
        begin = 0
        if answer.status == _PARTIAL:
            begin = offset
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                answer.close()
                raise Unavailable(
                    f'"{host_of(endpoint.url)}" sends another range than was asked for'
                )
        length = answer.headers.get("Content-Length", "")
        if length.isdigit() and begin + int(length) != descriptor.size:
            answer.close()
            raise BadDigest(
                f'"{host_of(endpoint.url)}" has {begin + int(length)} bytes for '
                f"{descriptor.digest}, not {descriptor.size}"
            )
        return answer

    def _get(self, endpoint: Endpoint, url: str, headers: dict[str, str]) -> Answer:
        """Ask one endpoint, meeting its challenge if it has one; return a good answer."""
        repository = self._reference.repository
        sent = headers | self._access.header(endpoint, repository)
        begin_s = time.monotonic()
        answer = self._ask(endpoint, url, sent)
        challenge = answer.headers.get("WWW-Authenticate", "")
        if answer.status == _UNAUTHORIZED and challenge:
            answer.close()
            sent = headers | self._access.answer(endpoint, repository, challenge, self._stop)
            begin_s = time.monotonic()
            answer = self._ask(endpoint, url, sent)
        if answer.status not in (_OK, _PARTIAL):
            raise self._refusal(answer, endpoint, is_manifest="/manifests/" in url)
        if self.ready_s is None:
            self.ready_s = max(begin_s, connected_at(answer))
        return answer

    def _ask(self, endpoint: Endpoint, url: str, headers: dict[str, str]) -> Answer:
        def notice(answer: Answer) -> None:
            """Keep what a head says of limits."""
            seen_at = datetime.now(UTC)
            limit = parse_rate_limit(endpoint.registry, answer.headers, seen_at)
            if self._keep is not None and limit is not None and "/manifests/" in url:
                self._keep(limit)

        return self._transport.get(
            url,
            headers,
            verifies=endpoint.verifies,
            stop=self._stop,
            attempts=1 if endpoint.is_mirror else MAX_ATTEMPTS,
            notice=notice,
        )

    def _refusal(self, answer: Answer, endpoint: Endpoint, *, is_manifest: bool) -> DockerlabError:
        challenges = parse_challenges(answer.headers.get("WWW-Authenticate", ""))
        refusal = Refusal(
            status=answer.status,
            text=describe_errors(answer),
            host=host_of(endpoint.url),
            is_denied=any(c.parameters.get("error") == "insufficient_scope" for c in challenges),
            is_manifest=is_manifest,
            is_plain=endpoint.is_plain,
        )
        return refusal_error(refusal, self._reference)
