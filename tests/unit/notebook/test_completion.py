"""The Tab key offers flags, and names that a running engine knows."""

from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from dockerlab.client.session import Session, connect
from dockerlab.errors import Unavailable
from dockerlab.notebook.completion import Completion
from dockerlab.notebook.connection import Connection


class Names:
    """The lists that completion asks an engine for."""

    def images(self) -> list[dict[str, Any]]:
        return [{"RepoTags": ["hello-world:latest", "busybox:1.36"]}, {"RepoTags": None}]

    def containers(self, *, all: bool) -> list[dict[str, Any]]:  # noqa: A002
        assert all
        return [{"Names": ["/happy_hopper"]}, {"Names": ["/web"]}]

    def volumes(self) -> dict[str, Any]:
        return {"Volumes": [{"Name": "data"}, {"Name": "cache"}]}

    def close(self) -> None:
        """Nothing is open."""


def answering(engine: str, *, start: bool = True) -> Session:
    assert (engine, start) == ("", False)
    api: Any = Names()
    return Session(engine="dockerlab", version="1", address="tcp://names", api=api)


def silent(engine: str, *, start: bool = True) -> Session:
    raise Unavailable(f"nobody answers: {engine} (start={start})")


@pytest.fixture
def completion() -> Completion:
    return Completion(Connection(answering))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%run_container ", ["busybox:1.36", "hello-world"]),
        ("%run_container he", ["hello-world"]),
        ("%run_container --rm --name x bu", ["busybox:1.36"]),
        ("%run_container --name he", []),
        ("%run_container hello-world --n", []),
        ("%run_container --mo", ["--mount"]),
        ("%%run_container -", None),
        ("%stop ", ["happy_hopper", "web"]),
        ("%rm web hap", ["happy_hopper"]),
        ("df = %images --d", ["--digests"]),
        ("%engine d", ["docker", "dockerlab"]),
        ("%compare_runs hello-world --s", ["--seed"]),
        ("%update --res", ["--restart"]),
        ("%pause w", ["web"]),
        ("%run_container --volumes-from w", ["web"]),
        ("%cp w", ["web:"]),
        ("%volume ", ["create", "inspect", "ls", "prune", "rm"]),
        ("%volume rm ", ["cache", "data"]),
        ("%volume rm data c", ["cache"]),
        ("%volume ls --s", ["--size"]),
        ("%volume frobnicate ", []),
        ("%docker volume rm d", ["data"]),
        ("%docker container unp", []),
        ("%docker run --mo", ["--mount"]),
        ("%docker container rm hap", ["happy_hopper"]),
        ("%docker image rm he", ["hello-world"]),
        ("%docker frobnicate he", []),
        ("%ru", []),
        ("run_container he", []),
        ("x = 5 % im", []),
        ("%no_such_magic he", []),
    ],
)
def test_what_can_stand_there(completion: Completion, line: str, words: list[str] | None) -> None:
    found = completion.complete(line)

    assert found == words if words is not None else {"-d", "--rm"} <= set(found)


def test_without_an_engine_there_are_only_flags_and_none_is_started(tmp_path: Path) -> None:
    environ = {"DOCKERLAB_ROOT": str(tmp_path), "DOCKERLAB_SOCKET": str(tmp_path / "no.sock")}

    def real(engine: str, *, start: bool = True) -> Session:
        return connect(engine, environ=environ, start=start)

    completion = Completion(Connection(real))

    assert completion.complete("%run_container he") == []
    assert completion.complete("%run_container --rea") == ["--read-only"]
    assert not (tmp_path / "engine.log").exists()
    assert Completion(Connection(silent)).complete("%stop w") == []


def test_ipython_puts_the_word_where_its_token_is(completion: Completion) -> None:
    shell = InteractiveShell.instance()
    completion.install(shell)

    def typed(line: str) -> list[str]:
        """Return the line as it is after each completion."""
        with provisionalcompleter():
            found = list(shell.Completer.completions(line, len(line)))
        return [line[: one.start] + one.text for one in found]

    try:
        assert typed("%run_container he") == ["%run_container hello-world"]
        assert typed("%run_container busybox:1") == ["%run_container busybox:1.36"]
        assert typed("%run_container --mou") == ["%run_container --mount"]
    finally:
        completion.uninstall(shell)
