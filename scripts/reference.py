"""Write the generated parts of the docs again: the table of magics in README.md.

``--check`` writes nothing and exits with 1 when something is out of date. What stands between the
marks comes from the table that the magics' parser and help use, so that they cannot disagree.
"""

import argparse
import sys
from pathlib import Path

from dockerlab.notebook.commands import COMMANDS
from dockerlab.notebook.options import Command

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN = "<!-- magics: written by `make docs` -->\n"
END = "<!-- end of magics -->\n"


def magics_table() -> str:
    """Return the table of magics, in Markdown."""
    rows = ["| Magic | What it does |", "|---|---|"]
    for command in COMMANDS.values():
        rows += [f"| {_usage(each)} | {each.summary} |" for each in command.parts or (command,)]
    return "\n".join(rows) + "\n"


def _usage(command: Command) -> str:
    # A bar ends a cell of the table, also within backticks.
    operands = command.operands.replace("|", "\\|")
    return f"`%{command.name} {operands}`" if operands else f"`%{command.name}`"


def renew(text: str) -> str:
    """Return the README with its generated part as it should be."""
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"README.md has not the marks {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}{magics_table()}{END}{after}"


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, tell what is old")
    options = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    wanted = renew(text)
    if text == wanted:
        return 0
    if options.check:
        print("README.md: the table of magics is out of date; make docs", file=sys.stderr)
        return 1
    README.write_text(wanted, encoding="utf-8")
    print("README.md: wrote the table of magics")
    return 0


if __name__ == "__main__":
    sys.exit(main())
