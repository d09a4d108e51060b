"""%compare_runs."""

from typing import TYPE_CHECKING, Any

from dockerlab import api
from dockerlab.client.session import Session
from dockerlab.notebook.declaring import Lab
from dockerlab.notebook.interrupt import interruptible
from dockerlab.notebook.options import Arguments
from dockerlab.notebook.text import say

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["compare_runs"]

DEFAULT_RUNS = 10


def compare_runs(lab: Lab, arguments: Arguments) -> "Table":
    """Return the timeline of the runs; `df.lab` draws and sums it up."""
    image, *command = arguments.operands
    options: dict[str, Any] = {
        "runs": arguments.number("runs", DEFAULT_RUNS),
        "seed": arguments.number("seed", 0),
        "network": arguments.text("network"),
    }
    if temperatures := arguments.text("temperatures"):
        options["temperatures"] = tuple(temperatures.split(","))
    with interruptible("the comparison; no container of it is left"):
        return api.compare(
            image,
            command,
            engines=_engines(lab, arguments.text("engines")),
            registry=arguments.text("registry"),
            on_message=say,
            **options,
        )


def _engines(lab: Lab, names: str) -> list[str | Session]:
    """Return the engines that are meant; the one in use is taken as it is, by its kind's name."""
    if not names:
        return [lab.connection.session()]
    in_use = lab.connection.peek()
    return [
        in_use if in_use is not None and name == in_use.engine else name
        for name in names.split(",")
    ]
