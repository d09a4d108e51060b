"""%compare_runs."""

from typing import TYPE_CHECKING

from dockerlab.bench.experiment import Experiment
from dockerlab.bench.runner import machine_facts, perform
from dockerlab.notebook.declaring import Lab
from dockerlab.notebook.interrupt import interruptible
from dockerlab.notebook.options import Arguments
from dockerlab.notebook.text import say

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["compare_runs"]

DEFAULT_RUNS = 10


def compare_runs(lab: Lab, arguments: Arguments) -> "Table":
    """Return the timeline of cold and cached runs; `df.lab` draws and sums it up."""
    image, *command = arguments.operands
    experiment = Experiment(
        image=image,
        runs=arguments.number("runs", DEFAULT_RUNS),
        seed=arguments.number("seed", 0),
        command=tuple(command),
    )
    session = lab.connection.session()
    say(
        f"{image}: {experiment.runs} cold and {experiment.runs} cached runs in turn"
        f" (random order, seed {experiment.seed})"
    )
    with interruptible("the comparison; no container of it is left"):
        samples = perform(session, experiment)
    from dockerlab.report.timelines import timeline_frame

    rows = [row for sample in samples for row in sample.rows]
    return timeline_frame(rows, machine_facts(session, experiment))
