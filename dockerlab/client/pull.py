"""Pull an image, and give the progress of it as values.

The engine does the work; its answer is a stream of JSON lines (Engine API, ``/images/create``). The
connection is the order: closing it, as an interrupt does, cancels the pull.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dockerlab.client.refusals import check, engine_errors, refusal
from dockerlab.client.session import Session
from dockerlab.oci.reference import parse_reference

if TYPE_CHECKING:
    from requests import Response

__all__ = ["PullLine", "PullResult", "pull", "pull_lines"]

_DIGEST = "Digest: "


@dataclass(frozen=True, slots=True, kw_only=True)
class PullLine:
    """One line of progress, in Docker's words.

    Parameters
    ----------
    status : str
        ``Pulling fs layer``, ``Downloading``, ``Pull complete``, …, or a sentence.
    id : str
        Short digest of the layer; the tag in the first line; '' for a line about the whole.
    current, total : int or None
        Bytes, where the line counts any.
    """

    status: str
    id: str = ""
    current: int | None = None
    total: int | None = None

    def __str__(self) -> str:
        return f"{self.id}: {self.status}" if self.id else self.status


@dataclass(frozen=True, slots=True, kw_only=True)
class PullResult:
    """What came of a pull: reference in its familiar form, and digest ('' if not told)."""

    reference: str
    digest: str
    status: str


def pull(
    session: Session,
    reference: str,
    on_progress: Callable[[PullLine], None] | None = None,
    *,
    platform: str = "",
) -> PullResult:
    """Pull an image to its end.

    Parameters
    ----------
    session : Session
        The engine that pulls.
    reference : str
        As a user types it; without tag or digest, ``latest`` is meant.
    on_progress : callable, optional
        Is given every line as it comes.
    platform : str
        ``os/architecture[/variant]``; '' is the engine's own.

    Raises
    ------
    BadReference, ManifestNotFound, Unauthorized, RegistryUnreachable, …
        As the engine reports; nothing is stored then.
    """
    digest = status = ""
    for line in pull_lines(session, reference, platform=platform):
        if line.status.startswith(_DIGEST):
            digest = line.status.removeprefix(_DIGEST)
        elif line.status.startswith("Status: "):
            status = line.status.removeprefix("Status: ")
        if on_progress is not None:
            on_progress(line)
    return PullResult(reference=parse_reference(reference).familiar, digest=digest, status=status)


def pull_lines(session: Session, reference: str, *, platform: str = "") -> Iterator[PullLine]:
    """Pull an image, one line of progress at a time; closing the generator cancels the pull.

    Raises as `pull` does.
    """
    # Without a tag the API means all tags of the repository.
    wanted = parse_reference(reference).familiar
    params = {"fromImage": wanted} | ({"platform": platform} if platform else {})
    with engine_errors(session.address):
        response = session.api.post(
            f"{session.api.base_url}/v{session.api.api_version}/images/create",
            params=params,
            headers=_credentials(session, wanted),
            stream=True,
            timeout=None,
        )
        # docker-py's own pull keeps the response to itself, and with it the connection open.
        try:
            check(response)
            yield from _lines(response)
        finally:
            response.close()


def _lines(response: "Response") -> Iterator[PullLine]:
    for text in response.iter_lines(chunk_size=None):
        if not text.strip():
            continue
        line = json.loads(text)
        if "error" in line or "errorDetail" in line:
            detail = line.get("errorDetail") or {}
            message = line.get("error") or detail.get("message", "")
            raise refusal(_status_of(detail, message), message)
        yield _pull_line(line)


def _pull_line(line: Mapping[str, Any]) -> PullLine:
    detail = line.get("progressDetail") or {}
    # Docker 29 counts unpacking in seconds ("units": "s"), which are no bytes.
    is_bytes = not detail.get("units")
    return PullLine(
        # Podman says some things in "stream", as a build does.
        status=str(line.get("status") or line.get("stream") or "").rstrip("\n"),
        id=str(line.get("id", "")),
        current=detail.get("current") if is_bytes else None,
        total=detail.get("total") if is_bytes else None,
    )


def _status_of(detail: Mapping[str, Any], message: str) -> int:
    """Return the HTTP status that an error within the stream would have had before it.

    Docker writes ``code`` for a few kinds only, and of a registry's answers keeps just the words of
    the distribution specification ("Error Codes").
    """
    code = detail.get("code")
    if isinstance(code, int) and code:
        return code
    words = {"manifest unknown": 404, "pull access denied": 404, "unauthorized": 401}
    return next((status for word, status in words.items() if word in message), 500)


def _credentials(session: Session, reference: str) -> dict[str, str]:
    from docker import auth

    registry, _ = auth.resolve_repository_name(reference)
    header = auth.get_config_header(session.api, registry)
    return {"X-Registry-Auth": header.decode()} if header else {}
