"""The verbs of the distribution API that a push needs: is a blob there, upload, mount, put.

Beside `session`, which has those of a pull; what is pushed in which order is `push`'s. See
distribution-spec/spec.md#push.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

from dockerlab.errors import (
    DockerlabError,
    Forbidden,
    RegistryUnreachable,
    Unauthorized,
    Unavailable,
)
from dockerlab.image.registry.auth import Access
from dockerlab.image.registry.mirrors import Endpoint
from dockerlab.image.registry.transport import (
    MAX_ATTEMPTS,
    Answer,
    Broken,
    Transport,
    check_redirect,
    describe_errors,
    host_of,
    pause,
    wait,
)
from dockerlab.oci.descriptor import Descriptor
from dockerlab.oci.digest import Digest
from dockerlab.oci.reference import Reference

__all__ = ["Target", "push_scopes"]

_CHUNK_BYTES = 16 << 20
_PIECE_BYTES = 256 << 10
_MAX_CHUNK_BYTES = 1 << 30
_OK, _CREATED, _ACCEPTED, _NO_CONTENT = 200, 201, 202, 204
_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 400, 401, 403, 404
_RANGE_WRONG = 416
_DENIED = "denied: requested access to the resource is denied"

Report = Callable[[int], None]
Body = Callable[[], Iterator[bytes]]


def push_scopes(mount_from: Sequence[str], repository: str) -> Sequence[str]:
    """Return what a push needs a token for: the repository, and a look into the others."""
    others = (f"repository:{name}:pull" for name in mount_from if name != repository)
    return (f"repository:{repository}:pull,push", *others)


class Target:
    """One repository during one push; threads may share it after the first request.

    Made by `session.Session.target`.
    """

    def __init__(
        self,
        reference: Reference,
        where: tuple[Endpoint, ...],
        transport: Transport,
        access: Access,
        stop: threading.Event,
    ) -> None:
        self._reference = reference
        self._where = where
        self._transport = transport
        self._access = access
        self._stop = stop
        self._endpoint = where[0]

    def connect(self) -> None:
        """Find the endpoint that answers.

        Raises
        ------
        RegistryUnreachable
            None does.
        """
        *others, last = self._where
        for endpoint in others:
            self._endpoint = endpoint
            try:
                answer = self._request("GET", f"{endpoint.url}/v2/")
            except RegistryUnreachable:
                continue
            answer.close()
            # Go's server says so to those who come without TLS.
            if answer.status != _BAD_REQUEST:
                return
        self._endpoint = last

    def has(self, digest: Digest) -> bool:
        """Tell whether the repository has a blob."""
        answer = self._request("HEAD", self._url(f"blobs/{digest}"))
        answer.close()
        if answer.status not in (_OK, _NOT_FOUND):
            raise self._refusal(answer)
        return answer.status == _OK

    def mount(self, digest: Digest, source: str) -> str:
        """Take a blob over from another repository; return where to upload it otherwise, or ''."""
        query = urlencode({"mount": digest, "from": source})
        answer = self._request("POST", self._url(f"blobs/uploads/?{query}"))
        if answer.status == _CREATED:
            answer.close()
            return ""
        return self._location(answer, self._endpoint.url)

    def begin(self) -> str:
        """Begin an upload; return where it goes."""
        url = self._url("blobs/uploads/")
        return self._location(self._request("POST", url), url)

    def upload(self, url: str, path: Path, descriptor: Descriptor, report: Report) -> None:
        """Send a blob in chunks, going on from where the registry says after a break.

        Parameters
        ----------
        url : str
            From `begin` or `mount`.
        path : Path
            The blob's file.
        report : callable
            Told how many bytes are sent.

        Raises
        ------
        Unavailable
            It breaks off again and again, or the registry says no.
        """
        at = 0
        while at < descriptor.size:
            end = min(at + _CHUNK_BYTES, descriptor.size)
            url, at = self._chunk(url, path, at, end, report)
        separator = "&" if urlsplit(url).query else "?"
        answer = self._request("PUT", f"{url}{separator}{urlencode({'digest': descriptor.digest})}")
        answer.close()
        if answer.status not in (_CREATED, _NO_CONTENT):
            raise self._refusal(answer)

    def put_manifest(self, target: str, data: bytes, media_type: str) -> None:
        """Put a manifest under a tag or its digest."""
        headers = {"Content-Type": media_type, "Content-Length": str(len(data))}
        answer = self._request(
            "PUT", self._url(f"manifests/{target}"), headers, lambda: iter([data])
        )
        if answer.status not in (_OK, _CREATED):
            raise self._refusal(answer)
        answer.close()

    def _chunk(self, url: str, path: Path, at: int, end: int, report: Report) -> tuple[str, int]:
        """Send one chunk; return where the next goes, and with which byte it begins."""

        def body() -> Iterator[bytes]:
            """Read the chunk, from its first byte."""
            with path.open("rb") as file:
                file.seek(at)
                sent = at
                while sent < end and (piece := file.read(min(_PIECE_BYTES, end - sent))):
                    wait(self._stop, 0)
                    yield piece
                    sent += len(piece)
                    report(sent)

        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{at}-{end - 1}",
            "Content-Length": str(end - at),
        }
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                answer = self._request("PATCH", url, headers, body, attempts=1)
            except Unavailable:
                if attempt == MAX_ATTEMPTS or self._stop.is_set():
                    raise
            else:
                if answer.status in (_ACCEPTED, _CREATED, _NO_CONTENT):
                    return self._location(answer, url), end
                if answer.status != _RANGE_WRONG:
                    raise self._refusal(answer)
                answer.close()
            wait(self._stop, pause(attempt))
            url, known = self._status(url)
            if known != at:
                return url, min(known, end)
        raise Unavailable(f'"{host_of(url)}" does not take a chunk of a layer')

    def _status(self, url: str) -> tuple[str, int]:
        """Ask how far an upload has come (spec.md#pushing-a-blob-in-chunks)."""
        answer = self._request("GET", url)
        if answer.status not in (_OK, _NO_CONTENT, _ACCEPTED):
            raise self._refusal(answer)
        _, _, last = answer.headers.get("Range", "").rpartition("-")
        # An empty upload and one of a byte both say 0-0: docker-registry means the empty one.
        known = int(last) + 1 if last.isdigit() and int(last) else 0
        location = answer.headers.get("Location")
        answer.close()
        return (self._checked(url, location) if location else url), known

    def _location(self, answer: Answer, base: str) -> str:
        location = answer.headers.get("Location", "")
        if answer.status not in (_ACCEPTED, _CREATED, _NO_CONTENT) or not location:
            raise self._refusal(answer)
        answer.close()
        return self._checked(base, location)

    def _checked(self, base: str, location: str) -> str:
        target = urljoin(base, location)
        check_redirect(base, target)
        return target

    def _url(self, rest: str) -> str:
        return f"{self._endpoint.url}/v2/{self._reference.repository}/{rest}"

    def _request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: Body | None = None,
        attempts: int = MAX_ATTEMPTS,
    ) -> Answer:
        """Ask, meeting a challenge if there is one; return the answer whatever it says."""
        endpoint, repository = self._endpoint, self._reference.repository
        is_own = urlsplit(url)[:2] == urlsplit(endpoint.url)[:2]
        headers = headers or {"Content-Length": "0"}
        if method in ("GET", "HEAD"):
            headers = {}

        def ask(access: dict[str, str]) -> Answer:
            """Ask once; who may write goes to the registry itself only (CVE-2020-15157)."""
            try:
                return self._transport.send(
                    method,
                    url,
                    headers | (access if is_own else {}),
                    body,
                    verifies=endpoint.verifies,
                    stop=self._stop,
                    attempts=attempts,
                )
            except Broken as exc:
                raise Unavailable(f'"{host_of(url)}" breaks off: {exc}') from exc

        answer = ask(self._access.header(endpoint, repository))
        challenge = answer.headers.get("WWW-Authenticate", "")
        if answer.status == _UNAUTHORIZED and challenge and is_own:
            answer.close()
            answer = ask(self._access.answer(endpoint, repository, challenge, self._stop))
        return answer

    def _refusal(self, answer: Answer) -> DockerlabError:
        status, text = answer.status, describe_errors(answer)
        name = self._reference.familiar_name
        if status == _UNAUTHORIZED and not text.startswith("denied"):
            return Unauthorized(f'cannot push "{name}": {text}', "log in to the registry first")
        if status in (_UNAUTHORIZED, _FORBIDDEN) or text.startswith("denied"):
            shown = text if text.startswith("denied") else _DENIED
            return Forbidden(f'cannot push "{name}": {shown}', "log in to the registry first")
        return Unavailable(f'"{host_of(self._endpoint.url)}" does not take "{name}": {text}')
