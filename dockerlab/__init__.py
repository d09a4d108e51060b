"""Containers inside Jupyter: magics, tables and plots over a container engine of our own.

This file imports nothing: the zygote loads it, and `%load_ext dockerlab` must stay light. Its
functions import what they need when they are called, and the verbs of `dockerlab.api` are fetched
when they are first named.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from docker import DockerClient
    from IPython.core.interactiveshell import InteractiveShell

    from dockerlab.api import (
        compare,
        containers,
        cp,
        diff,
        engines,
        export,
        history,
        images,
        inspect,
        layers,
        logs,
        pause,
        pull,
        rename,
        restart,
        rm,
        rmi,
        run,
        stats,
        stop,
        top,
        unpause,
        update,
        volume_create,
        volume_inspect,
        volume_prune,
        volume_rm,
        volumes,
        wait,
    )

__all__ = [
    "__version__",
    "compare",
    "connect",
    "containers",
    "cp",
    "diff",
    "engines",
    "export",
    "history",
    "images",
    "inspect",
    "layers",
    "load_ipython_extension",
    "logs",
    "pause",
    "pull",
    "rename",
    "restart",
    "rm",
    "rmi",
    "run",
    "stats",
    "stop",
    "top",
    "unload_ipython_extension",
    "unpause",
    "update",
    "volume_create",
    "volume_inspect",
    "volume_prune",
    "volume_rm",
    "volumes",
    "wait",
]

__version__ = "0.1.0"


def connect(engine: str = "") -> "DockerClient":
    """Return docker-py's client on an engine; our own one is started if need be.

    Parameters
    ----------
    engine : str
        ``dockerlab``, ``docker``, ``podman`` or the address of a socket; '' is our own engine.

    Returns
    -------
    docker.DockerClient
        To be closed by the caller, or used as a context manager.
    """
    from docker import DockerClient

    session = _late("dockerlab.client.session").connect(engine)
    session.close()
    return DockerClient(base_url=session.address, version=session.api.api_version)


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """Register the magics: what ``%load_ext dockerlab`` calls."""
    _late("dockerlab.notebook.extension").load_ipython_extension(shell)


def unload_ipython_extension(shell: "InteractiveShell") -> None:
    """Take the magics away again: what ``%unload_ext dockerlab`` calls."""
    _late("dockerlab.notebook.extension").unload_ipython_extension(shell)


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(_late("dockerlab.api"), name)
    raise AttributeError(f"module 'dockerlab' has no attribute {name!r}")


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__})


def _late(name: str) -> "ModuleType":
    """Import a room by its name: every room imports this file, so it must not depend on any."""
    from importlib import import_module

    return import_module(name)
