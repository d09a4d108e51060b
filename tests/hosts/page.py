"""docs/hosts.md: the doctor's table from each simulated host, as Markdown."""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.hosts.report import PYTHON, Report
from tests.hosts.simulated import HOSTS

__all__ = ["PAGE", "page", "this_machine"]

# One host of each tier, and one whose cgroups are closed.
_COMPARED = (
    "root",
    "read-only-cgroups",
    "user",
    "no-newuidmap",
    "docker-proot",
    "no-user-namespaces",
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "hosts.md"

_HEAD = """# What dockerlab finds on hosts that give less

Written by `python -m tests.hosts`: each host is a process of one machine from which abilities were
taken away for real (mounts, seccomp filters, capabilities, users; `tests/hosts/taking.py`), or a
container of dockerlab's own engine, which has Docker's defaults (`tests/hosts/contained.py`). Each
table is what `dockerlab doctor` found there. [doctor.md](doctor.md) says how to read it.

"""


def this_machine() -> str:
    """Return what the tables depend on besides the simulation."""
    release = ".".join(os.uname().release.split(".")[:2])
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    version = "v1" if " - cgroup " in mounts else "v2"
    command = ["stat", "--file-system", "--format=%T", tempfile.gettempdir()]
    kind = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    python = Path(PYTHON).resolve().name
    return f"Linux {release}, cgroup {version}, files on {kind}, {python}"


def page(reports: Mapping[str, Report]) -> str:
    """Return the whole page from a report for each host."""
    rows = ["| Host | Tier | Why not better |", "|---|---|---|"]
    for name, host in HOSTS.items():
        tier = reports[name]["tier"]
        rows.append(f"| [{host.title}](#{_anchor(host.title)}) | {tier['name']} | {_why(tier)} |")
    parts = [_HEAD, f"The machine: {this_machine()}.\n\n", "\n".join(rows), "\n"]
    parts += [_matrix({name: reports[name] for name in _COMPARED})]
    parts += [_section(HOSTS[name].title, reports[name]) for name in HOSTS]
    return "".join(parts)


def _why(tier: Mapping[str, str]) -> str:
    return "" if tier["name"] == "rootful" else _cell(tier["reason"])


def _matrix(reports: Mapping[str, Report]) -> str:
    """Return which features there are on which host; the reasons stand in the sections."""
    titles = [f"[{HOSTS[name].title}](#{_anchor(HOSTS[name].title)})" for name in reports]
    lines = ["", "## What containers can be given", ""]
    lines += [f"| Feature | {' | '.join(titles)} |", f"|---{'|---' * len(titles)}|"]
    for rows in zip(*(report["features"] for report in reports.values()), strict=True):
        marks = " | ".join("✔" if row["ok"] else "✘" for row in rows)
        lines.append(f"| {_feature(rows[0])} | {marks} |")
    return "\n".join(lines) + "\n"


def _feature(row: Mapping[str, str]) -> str:
    return _cell(f"{row['title']}: `{row['options']}`")


def _refused(report: Report) -> list[str]:
    """Return the features that are not there, those with one reason together."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in report["features"]:
        if not row["ok"]:
            found.setdefault((row["reason"], row["remedy"]), []).append(f"`{row['options']}`")
    if not found:
        return ["", "Containers can be given every feature."]
    lines = ["", "| Refused to containers | Reason | What would lift it |", "|---|---|---|"]
    for (reason, remedy), options in found.items():
        lines.append(f"| {_cell('; '.join(options))} | {_cell(reason)} | {_cell(remedy)} |")
    return lines


def _section(title: str, report: Report) -> str:
    tier = report["tier"]
    lines = ["", f"## {title}", "", f"Tier **{tier['name']}**: {tier['gives']}.", ""]
    lines += ["| Ability | | Reason | What would lift it |", "|---|---|---|---|"]
    for row in report["abilities"]:
        mark = "✔" if row["ok"] else "✘"
        cells = (row["title"], mark, _cell(row["reason"]), _cell(row["remedy"]))
        lines.append(f"| {' | '.join(cells)} |")
    lines += _refused(report)
    if report["apparmor_profile"]:
        lines += ["", "The profile that it prints:", "", "```", report["apparmor_profile"], "```"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    # How much is free is of the day, not of the host.
    return re.sub(r"[\d.]+ GB are free", "enough is free", text).replace("|", "\\|")


def _anchor(title: str) -> str:
    """Return the anchor that Markdown's renderers give a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
