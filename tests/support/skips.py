"""Which skips are allowed, and the last line of a run: a pytest plugin.

``tests/skips.txt`` lists the allowed ones with their reasons. Any other skip makes the run fail,
so that a test cannot fall silent: a probe that breaks would otherwise look like a poorer host.
"""

import os
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

__all__ = ["AllowedSkip", "SkipPolicy", "pytest_configure", "read_allowed_skips"]

ALLOWED_SKIPS = Path(__file__).parents[1] / "skips.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedSkip:
    """One line of the list. `scope` is ``any``, or ``host``: not in CI."""

    scope: str
    test: str
    reason: str

    def allows(self, test: str, reason: str, *, is_ci: bool) -> bool:
        """Tell whether this line allows `test` to be skipped for `reason`."""
        if self.scope == "host" and is_ci:
            return False
        return fnmatchcase(test, self.test) and fnmatchcase(reason, self.reason)


def read_allowed_skips(text: str) -> list[AllowedSkip]:
    """Parse the list; raise ValueError for a line that is none."""
    allowed = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        scope, test, reason = (part.strip() for part in line.split("|"))
        if scope not in ("any", "host"):
            raise ValueError(f"tests/skips.txt: unknown scope {scope!r} in {line!r}")
        allowed.append(AllowedSkip(scope=scope, test=test, reason=reason))
    return allowed


class SkipPolicy:
    """Counts the outcomes of a session and judges its skips."""

    def __init__(self, allowed: list[AllowedSkip], *, is_ci: bool) -> None:
        self._allowed = allowed
        self._is_ci = is_ci
        self.counts: Counter[str] = Counter()
        self.skipped: list[tuple[str, str]] = []

    @property
    def forbidden(self) -> list[tuple[str, str]]:
        """The skips that no line allows, as (node id, reason)."""
        return [
            (test, reason)
            for test, reason in self.skipped
            if not any(line.allows(test, reason, is_ci=self._is_ci) for line in self._allowed)
        ]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test once: at its call, or at the stage that kept it from being called."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._note_skip(report.nodeid, report.longrepr)
        elif report.failed:
            self.counts["failed"] += 1
        elif report.when == "call":
            self.counts["passed"] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count modules that cannot be collected, or that skip themselves."""
        if report.skipped:
            self._note_skip(report.nodeid, report.longrepr)
        elif report.failed:
            self.counts["failed"] += 1

    def _note_skip(self, test: str, longrepr: object) -> None:
        reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
        self.skipped.append((test, str(reason).removeprefix("Skipped: ")))
        self.counts["skipped"] += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run for a skip that is not on the list."""
        if self.forbidden and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the skips that made the run fail."""
        if self.forbidden:
            terminalreporter.section("skips that tests/skips.txt does not allow")
            for test, reason in self.forbidden:
                terminalreporter.write_line(f"{test}: {reason}")

    def pytest_unconfigure(self) -> None:
        """Write the counts as the very last line, where a script finds them."""
        counts = ", ".join(
            f"{self.counts[word]} {word}" for word in ("passed", "failed", "skipped")
        )
        print(f"\n{counts}")  # noqa: T201 - after the terminal reporter has written its own last line


def pytest_configure(config: pytest.Config) -> None:
    """Register the policy for this session."""
    allowed = read_allowed_skips(ALLOWED_SKIPS.read_text(encoding="utf-8"))
    is_ci = os.environ.get("CI", "").lower() in ("1", "true", "yes")
    config.pluginmanager.register(SkipPolicy(allowed, is_ci=is_ci), "dockerlab-skip-policy")
