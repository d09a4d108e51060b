"""HTTP statuses become kinds of error, and errors the exit codes of `docker run`."""

import pytest

from dockerlab.client.refusals import exit_code_of, refusal
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


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "bad parameter", InvalidArgument),
        (401, "no", Unauthorized),
        (403, "no", Forbidden),
        (404, "No such image: x:latest", ImageNotFound),
        (404, "No such container: x", ContainerNotFound),
        (404, "manifest for x not found: manifest unknown", ManifestNotFound),
        (404, "network x not found", NotFound),
        (409, "name in use", Conflict),
        (500, "oh", EngineFailure),
        (501, "not here", Unsupported),
        (503, "later", Unavailable),
    ],
)
def test_each_status_has_its_kind(status: int, message: str, kind: type[DockerlabError]) -> None:
    error = refusal(status, message)
    assert type(error) is kind
    assert error.message == message


def test_podman_s_words_for_a_missing_image_are_understood() -> None:
    error = refusal(404, "no such image: docker.io/library/x: image not known")
    assert isinstance(error, ImageNotFound)
    assert error.message == "No such image: docker.io/library/x"


def test_an_answer_without_words_still_says_something() -> None:
    assert refusal(500, " ").message == "the engine answered with HTTP status 500"


def test_exit_codes_are_those_of_docker_run() -> None:
    assert exit_code_of(CommandNotFound("x")) == 127
    assert exit_code_of(CommandNotExecutable("x")) == 126
    assert exit_code_of(StartFailure("x")) == 125
    assert exit_code_of(ImageNotFound("x")) == 125
