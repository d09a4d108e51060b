"""The border to docker-py: what it raises goes in, an error of ours comes out.

Kinds follow the HTTP status as the Engine API defines it. Text is read where the API has no other
place for the fact: which object is not there, and why a foreign engine could not start a program.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dockerlab.errors import (
    CommandNotExecutable,
    CommandNotFound,
    Conflict,
    ContainerNotFound,
    DockerlabError,
    EngineFailure,
    Forbidden,
    ImageNotFound,
    InvalidArgument,
    ManifestNotFound,
    NotFound,
    StartFailure,
    Unauthorized,
    Unavailable,
    Unsupported,
)

if TYPE_CHECKING:
    from requests import Response

__all__ = ["check", "engine_errors", "exit_code_of", "refusal", "start_failure"]

# What `docker run` itself exits with when no process of the container has run; docker-run(1).
RUN_FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127

_KINDS: dict[int, type[DockerlabError]] = {
    400: InvalidArgument,
    401: Unauthorized,
    403: Forbidden,
    409: Conflict,
    501: Unsupported,
    503: Unavailable,
}

_NO_SUCH_IMAGE = "no such image: "
_FAILED_TO_FIND = "failed to find image "
_NO_SUCH_CONTAINER = "no such container: "


@contextmanager
def engine_errors(address: str) -> Iterator[None]:
    """Turn what docker-py and its HTTP library raise in the block into an error of ours.

    Parameters
    ----------
    address : str
        Of the engine, for the message when it does not answer.

    Raises
    ------
    DockerlabError
        Of the kind of the engine's answer; Unavailable when there was none.
    """
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except APIError as exc:
        status = exc.response.status_code if exc.response is not None else 500
        raise refusal(status, exc.explanation or str(exc)) from exc
    except (RequestException, HTTPError, DockerException, ConnectionError) as exc:
        raise Unavailable(
            f'the engine at "{address}" does not answer: {_innermost(exc)}',
            hint="see `dockerlab engine status` and `dockerlab engine logs`",
        ) from exc


def check(response: "Response") -> None:
    """Raise the error of ours that a response stands for; return when it is a success.

    For requests that docker-py has no method for; its own methods raise by themselves.
    """
    if response.status_code < 400:  # noqa: PLR2004 - RFC 9110: 4xx and 5xx are the errors
        return
    try:
        message = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = response.text
    raise refusal(response.status_code, message)


def refusal(status: int, message: str) -> DockerlabError:
    """Return the error that an HTTP status of the Engine API stands for.

    Examples
    --------
    >>> refusal(404, "No such image: busybox:latest")
    ImageNotFound('No such image: busybox:latest')
    """
    message = message.strip() or f"the engine answered with HTTP status {status}"
    if status == 404:  # noqa: PLR2004 - one status of the table that splits up
        return _not_found(message)
    return _KINDS.get(status, EngineFailure)(message)


def start_failure(error: DockerlabError, recorded_exit_code: int | None) -> DockerlabError:
    """Tell why a container could not be started.

    Parameters
    ----------
    error : DockerlabError
        What the engine answered to the start.
    recorded_exit_code : int or None
        ``State.ExitCode`` of the container afterwards: dockerd writes 126 and 127 there
        (moby, daemon/errors.go). None when the container is gone.

    Returns
    -------
    DockerlabError
        A StartFailure; or `error` itself where no start was tried (not found, conflict, …).
    """
    if isinstance(error, (NotFound, Unavailable, Unsupported)):
        return error
    text = error.message.lower()
    if recorded_exit_code == NOT_FOUND or (
        "executable file not found" in text or "no such file or directory" in text
    ):
        return CommandNotFound(error.message)
    if recorded_exit_code == NOT_EXECUTABLE or "permission denied" in text:
        return CommandNotExecutable(error.message)
    return error if isinstance(error, Conflict) else StartFailure(error.message)


def exit_code_of(error: DockerlabError) -> int:
    """Return the exit code of a `docker run` that ended with this error."""
    return error.exit_code if isinstance(error, StartFailure) else RUN_FAILED


def _not_found(message: str) -> DockerlabError:
    lowered = message.lower()
    # Podman begins with a small letter, and ends with a second sentence.
    if lowered.startswith(_NO_SUCH_IMAGE):
        return ImageNotFound(message[len(_NO_SUCH_IMAGE) :].removesuffix(": image not known"))
    if lowered.startswith(_FAILED_TO_FIND):
        # Podman, of a reference with a digest: the reference twice, and Docker's phrase behind it.
        return ImageNotFound(message[len(_FAILED_TO_FIND) :].partition(": ")[0])
    if lowered.startswith(_NO_SUCH_CONTAINER):
        return ContainerNotFound(message[len(_NO_SUCH_CONTAINER) :])
    if "manifest" in lowered or "pull access denied" in lowered:
        return ManifestNotFound(message)
    return NotFound(message)


def _innermost(exc: BaseException) -> str:
    # requests wraps urllib3, which wraps the OSError that says something.
    while True:
        inner = exc.__cause__ or exc.__context__
        if inner is None:
            break
        exc = inner
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return str(exc) or type(exc).__name__
