"""Lines of the docker program find their magic, and others are told apart."""

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.notebook.dockerlines import read_line
from dockerlab.notebook.extension import load_ipython_extension, unload_ipython_extension


@pytest.mark.parametrize(
    ("line", "magic", "rest"),
    [
        ("run --rm hello-world", "run_container", "--rm hello-world"),
        ("container run hello-world", "run_container", "hello-world"),
        ("ps -a", "ps", "-a"),
        ("container ls -a", "ps", "-a"),
        ("container list", "ps", ""),
        ("container rm x", "rm", "x"),
        ("container logs -f x", "logs", "-f x"),
        ("container inspect x", "inspect", "--type container x"),
        ("image inspect x", "inspect", "--type image x"),
        ("inspect x", "inspect", "x"),
        ("images", "images", ""),
        ("image ls", "images", ""),
        ("image rm x", "rmi", "x"),
        ("image pull x", "pull", "x"),
        ("image history x", "history", "x"),
        ("rmi -f x", "rmi", "-f x"),
        ("container pause x", "pause", "x"),
        ("update -m 1g x", "update", "-m 1g x"),
        ("container cp x:/a b", "cp", "x:/a b"),
        ("volume rm -f x", "volume", "rm -f x"),
    ],
)
def test_a_line_is_its_magics(line: str, magic: str, rest: str) -> None:
    command, words = read_line(line.split())

    assert (command.name, " ".join(words)) == (magic, rest)


@pytest.mark.parametrize(
    "line", ["swarm init", "buildx build .", "search x", "network ls", "system df"]
)
def test_what_docker_has_and_we_have_not_is_said(line: str) -> None:
    with pytest.raises(Unsupported, match="is not supported yet"):
        read_line(line.split())


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("rnu x", "did you mean run?"),
        ("imagess", "did you mean images?"),
        ("container lss", "did you mean ls?"),
        ("image", "one of: build, history, images"),
        ("compare_runs x", "known commands: attach"),
    ],
)
def test_a_slip_of_the_keyboard_gets_the_word_that_was_meant(line: str, hint: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_line(line.split())

    assert caught.value.hint.startswith(hint)


def test_help_is_that_of_the_magic(capsys: pytest.CaptureFixture[str]) -> None:
    shell: Any = InteractiveShell.instance()
    load_ipython_extension(shell)
    try:
        shell.run_line_magic("docker", "container ls --help")
        shell.run_cell("%docker -H unix:///x ps")
    finally:
        unload_ipython_extension(shell)

    out = capsys.readouterr().out
    assert "Usage: %ps" in out
    assert "choose the engine with %engine NAME" in out
