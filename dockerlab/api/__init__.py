"""The verbs of the magics as functions, for scripts and other programs; no IPython is needed.

Names and words are the magics', the flags of the docker command line are keywords. Each function
takes the engine as a name (`engine="podman"`), opens a connection and closes it; '' is our own,
which is started if need be. A `client.session.Session` in its place is used and left open: so the
magics call this. Lists are pandas DataFrames. Reached as `dockerlab.run`, `dockerlab.pull`, …
"""

from dockerlab.api.facts import engine_states, engines, inspect
from dockerlab.api.files import cp, diff, export
from dockerlab.api.keeping import (
    volume_create,
    volume_inspect,
    volume_prune,
    volume_rm,
    volumes,
)
from dockerlab.api.lives import (
    STOP_TIMEOUT_S,
    containers,
    pause,
    rename,
    restart,
    rm,
    stop,
    unpause,
    update,
    wait,
)
from dockerlab.api.looking import layers
from dockerlab.api.output import LogOptions, follow_logs, logs
from dockerlab.api.runs import RunInterrupted, Watch, perform, run
from dockerlab.api.store import history, images, pull, rmi
from dockerlab.api.usage import stats, top
from dockerlab.bench.comparison import CompareOptions, compare

__all__ = [
    "STOP_TIMEOUT_S",
    "CompareOptions",
    "LogOptions",
    "RunInterrupted",
    "Watch",
    "compare",
    "containers",
    "cp",
    "diff",
    "engine_states",
    "engines",
    "export",
    "follow_logs",
    "history",
    "images",
    "inspect",
    "layers",
    "logs",
    "pause",
    "perform",
    "pull",
    "rename",
    "restart",
    "rm",
    "rmi",
    "run",
    "stats",
    "stop",
    "top",
    "unpause",
    "update",
    "volume_create",
    "volume_inspect",
    "volume_prune",
    "volume_rm",
    "volumes",
    "wait",
]
