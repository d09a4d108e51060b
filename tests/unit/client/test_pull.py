"""A pull's stream of JSON lines becomes values, its errors become ours."""

from pathlib import Path
from typing import Any

import pytest

from dockerlab.client.pull import PullLine, pull, pull_lines
from dockerlab.client.session import connect
from dockerlab.errors import (
    BadReference,
    DockerlabError,
    EngineFailure,
    ManifestNotFound,
    Unauthorized,
)
from tests.unit.client.scripted_engine import Script, scripted_engine

DIGEST = "sha256:" + "d" * 64


def test_lines_are_values_and_the_result_has_the_digest(tmp_path: Path) -> None:
    script = Script(
        pull_lines=[
            {"status": "Pulling from library/busybox", "id": "latest"},
            {"status": "Downloading", "id": "abc", "progressDetail": {"current": 5, "total": 9}},
            {"status": f"Digest: {DIGEST}"},
            {"status": "Status: Downloaded newer image for busybox:latest"},
        ]
    )
    seen: list[PullLine] = []
    with scripted_engine(tmp_path, script) as engine:
        session = connect(engine.address)
        result = pull(session, "busybox", seen.append, platform="linux/arm64")
        session.close()
        request = engine.requests[-1]
    assert request == ("POST /images/create?fromImage=busybox%3Alatest&platform=linux%2Farm64")
    assert seen[1] == PullLine(status="Downloading", id="abc", current=5, total=9)
    assert str(seen[1]) == "abc: Downloading"
    assert (result.reference, result.digest) == ("busybox:latest", DIGEST)
    assert result.status.startswith("Downloaded newer image")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ({"error": "manifest unknown: no such tag"}, ManifestNotFound),
        ({"error": "unauthorized: authentication required"}, Unauthorized),
        ({"error": "no", "errorDetail": {"code": 401, "message": "no"}}, Unauthorized),
        ({"errorDetail": {"message": "disk is full"}}, EngineFailure),
    ],
)
def test_an_error_in_the_stream_is_raised(
    tmp_path: Path, line: dict[str, Any], kind: type[DockerlabError]
) -> None:
    script = Script(pull_lines=[{"status": "Pulling"}, line])
    with scripted_engine(tmp_path, script) as engine:
        session = connect(engine.address)
        with pytest.raises(kind):
            pull(session, "busybox")
        session.close()


def test_a_bad_reference_is_refused_before_any_request(tmp_path: Path) -> None:
    with scripted_engine(tmp_path) as engine:
        session = connect(engine.address)
        with pytest.raises(BadReference):
            pull(session, "Bad Reference")
        session.close()
        assert engine.requests == ["GET /_ping"]


def test_closing_the_generator_ends_the_pull(tmp_path: Path) -> None:
    script = Script(pull_lines=[{"status": str(number)} for number in range(9)])
    with scripted_engine(tmp_path, script) as engine:
        session = connect(engine.address)
        lines = pull_lines(session, "busybox")
        assert next(lines).status == "0"
        lines.close()  # type: ignore[attr-defined]  # an Iterator to callers, a generator in fact
        session.close()
