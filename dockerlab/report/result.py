"""What `%run_container` and `dockerlab.run` return: the outcome of a run, shown as one line."""

import html
from functools import cached_property
from typing import TYPE_CHECKING

from dockerlab.client.request import RunOutcome

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["RunResult"]

_STYLE = "color: var(--jp-ui-font-color2, inherit); font-family: var(--jp-ui-font-family, inherit)"


class RunResult:
    """The outcome of one run.

    Parameters
    ----------
    outcome : RunOutcome
        As the client returned it.

    Notes
    -----
    Nothing heavy is behind it: pandas is imported when `timeline` is first looked at.
    """

    def __init__(self, outcome: RunOutcome) -> None:
        self._outcome = outcome

    @property
    def exit_code(self) -> int | None:
        """The program's exit status; None while a detached container may still run."""
        return self._outcome.exit_code

    @property
    def stdout(self) -> str:
        """All that the program wrote to its standard output."""
        return self._outcome.stdout.decode(errors="replace")

    @property
    def stderr(self) -> str:
        """All that the program wrote to its standard error."""
        return self._outcome.stderr.decode(errors="replace")

    @property
    def container(self) -> str:
        """The container's id, to go on with: ``%inspect $result.container``."""
        return self._outcome.container_id

    @property
    def name(self) -> str:
        """The container's name; '' when it was removed before anybody asked."""
        return self._outcome.name

    @property
    def image(self) -> str:
        """The image's reference."""
        return self._outcome.image

    @property
    def was_cached(self) -> bool:
        """Whether the image was there already, so that nothing was pulled."""
        return self._outcome.was_cached

    @cached_property
    def timeline(self) -> "Table":
        """The phases of the run, client's and engine's side, as a tidy table."""
        from dockerlab.report.timelines import timeline_frame

        return timeline_frame(self._outcome.timeline.rows)

    def summary(self) -> str:
        """Return the one line that the cell shows."""
        if self.exit_code is None:
            return f"started {self.name or self.container[:12]} · {self._times()}"
        code = f"exit code {self.exit_code} · " if self.exit_code else ""
        return code + self._times()

    def _times(self) -> str:
        return self._outcome.timeline.summary_line()

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return f'<span style="{_STYLE}">{html.escape(self.summary())}</span>'
