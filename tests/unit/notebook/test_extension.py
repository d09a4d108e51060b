"""Loading costs little, and is undone completely."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from dockerlab.notebook.commands import COMMANDS
from dockerlab.notebook.extension import load_ipython_extension, unload_ipython_extension

HEAVY = ("pandas", "numpy", "matplotlib", "ipywidgets", "docker", "requests", "msgspec")

COUNT = f"""
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "dockerlab")
new = set(sys.modules) - before
print(len([name for name in new if not name.startswith("dockerlab")]))
print([name for name in {HEAVY} if name in new])
"""


@pytest.fixture
def shell() -> Iterator[Any]:
    shell: Any = InteractiveShell.instance()
    load_ipython_extension(shell)
    yield shell
    unload_ipython_extension(shell)


def test_loading_imports_nothing_heavy_and_next_to_nothing_at_all() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", COUNT], capture_output=True, text=True, check=True
    )
    foreign, heavy = answer.stdout.splitlines()

    assert heavy == "[]"
    assert int(foreign) < 10


def test_every_command_is_a_magic_with_its_help(shell: Any) -> None:
    for name, command in COMMANDS.items():
        assert shell.find_line_magic(name).__doc__ == command.help()
    assert shell.find_cell_magic("run_container") is not None
    assert shell.find_cell_magic("ps") is None


def test_help_is_shown_and_nothing_done(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run_line_magic("run_container", "--help") is None
    assert "Usage: %run_container" in capsys.readouterr().out


def test_an_error_is_a_sentence_and_a_hint(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_cell("%ps --al")

    assert capsys.readouterr().out.splitlines() == [
        "unknown flag: --al",
        "hint: did you mean --all?",
    ]


def test_ipythons_alias_of_rm_makes_way_and_comes_back() -> None:
    shell: Any = InteractiveShell.instance()
    load_ipython_extension(shell)
    assert "rm" not in dict(shell.alias_manager.aliases)
    shell.alias_manager.init_aliases()
    assert shell.find_line_magic("rm").__doc__ == COMMANDS["rm"].help()

    unload_ipython_extension(shell)

    assert "rm" in dict(shell.alias_manager.aliases)
    assert shell.find_line_magic("run_container") is None


def test_loading_twice_completes_once(shell: Any) -> None:
    load_ipython_extension(shell)

    ours = [m for m in shell.Completer.custom_matchers if hasattr(m, "is_of_dockerlab")]
    assert len(ours) == 1
