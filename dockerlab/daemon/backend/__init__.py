"""What the routes need of the engine: one narrow Protocol a resource.

The engine never imports this; `daemon.app` hands its keepers to the routes. A name is a container's
name, its id, or an unambiguous beginning of its id, as clients send it.
"""

from dockerlab.daemon.backend.containers import (
    Archives,
    Containers,
    Execs,
    Resources,
    Upload,
    WaitCondition,
)
from dockerlab.daemon.backend.engine import Engine, Events, System
from dockerlab.daemon.backend.filters import Filters
from dockerlab.daemon.backend.images import (
    Build,
    Builds,
    Commits,
    Images,
    Layers,
    Pulls,
    Pushes,
    Registries,
    Transfers,
)
from dockerlab.daemon.backend.volumes import Volumes

__all__ = [
    "Archives",
    "Build",
    "Builds",
    "Commits",
    "Containers",
    "Engine",
    "Events",
    "Execs",
    "Filters",
    "Images",
    "Layers",
    "Pulls",
    "Pushes",
    "Registries",
    "Resources",
    "System",
    "Transfers",
    "Upload",
    "Volumes",
    "WaitCondition",
]
