"""docs/python-api.md is true: each of its examples is run, on a real engine."""

import doctest
from pathlib import Path

import docker
import pytest

from tests.support.engine import EngineUnderTest

PAGE = Path(__file__).parents[2] / "docs" / "python-api.md"


def test_the_examples_of_the_page_are_true(
    fresh_engine: EngineUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKERLAB_ROOT", str(fresh_engine.root))
    monkeypatch.setenv("DOCKERLAB_SOCKET", str(fresh_engine.socket))
    monkeypatch.chdir(tmp_path)
    # Fences of Markdown are no part of what an example gives.
    text = PAGE.read_text(encoding="utf-8").replace("```", "")
    test = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    said: list[str] = []

    options = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    result = doctest.DocTestRunner(optionflags=options).run(test, out=said.append)

    assert result.failed == 0, "".join(said)
    assert result.attempted > 15
    assert (tmp_path / "runs.png").stat().st_size > 10_000
    with_docker_py: docker.DockerClient = fresh_engine.connect()
    assert with_docker_py.containers.list(all=True) == []
