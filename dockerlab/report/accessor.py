"""`df.lab`: what a timeline table can do, on any DataFrame that has its columns."""

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from dockerlab.report.plots import Plot
    from dockerlab.report.tables import Table

__all__ = ["LabAccessor"]


@pd.api.extensions.register_dataframe_accessor("lab")
class LabAccessor:
    """Figures and statistics of a timeline; see `report.timelines` for the columns."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def plot(self) -> "Plot":
        """Draw where the time of a run goes, and how the runs spread.

        Examples
        --------
        ::

            df = %compare_runs hello-world -n 10
            df.lab.plot()
        """
        from dockerlab.report.plots import plot_runs

        return plot_runs(self._frame)

    def summary(self, *, seed: int = 0) -> "Table":
        """Return medians of the run times with 95 % intervals, and their ratio to cached runs.

        Parameters
        ----------
        seed : int
            Of the bootstrap; the same seed gives the same intervals.
        """
        from dockerlab.report.summary import summarise

        return summarise(self._frame, seed=seed)
