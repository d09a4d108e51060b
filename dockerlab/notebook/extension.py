"""Register the magics with IPython, and take them away again.

Registration is all that happens here: the first magic that needs an engine connects, the first
table imports pandas.
"""

from typing import Any

from dockerlab.notebook import commands
from dockerlab.notebook.completion import Completion
from dockerlab.notebook.connection import Connection
from dockerlab.notebook.declaring import Lab, declare
from dockerlab.notebook.options import Command

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

MAGICS: dict[str, tuple[Command, ...]] = {
    "dockerlab.notebook.magics.images": (
        commands.PULL,
        commands.IMAGES,
        commands.RMI,
        commands.HISTORY,
    ),
    "dockerlab.notebook.magics.containers": (
        commands.RUN,
        commands.PS,
        commands.LOGS,
        commands.STOP,
        commands.RM,
    ),
    "dockerlab.notebook.magics.lives": (
        commands.RESTART,
        commands.PAUSE,
        commands.UNPAUSE,
        commands.RENAME,
        commands.WAIT,
        commands.UPDATE,
    ),
    "dockerlab.notebook.magics.insides": (
        commands.STATS,
        commands.TOP,
        commands.DIFF,
        commands.CP,
        commands.EXPORT,
    ),
    "dockerlab.notebook.magics.volumes": (commands.VOLUME,),
    "dockerlab.notebook.magics.system": (
        commands.ENGINE,
        commands.DOCTOR,
        commands.INSPECT,
    ),
    "dockerlab.notebook.magics.registries": (commands.LOGIN, commands.LOGOUT),
    "dockerlab.notebook.magics.bench": (commands.COMPARE_RUNS,),
    "dockerlab.notebook.magics.docker": (commands.DOCKER,),
}


def load_ipython_extension(shell: Any) -> None:
    """Register every magic, and the completion of its arguments."""
    connection = Connection()
    lab = Lab(connection, has_front_end=getattr(shell, "kernel", None) is not None)
    _hide_aliases(shell)
    for module, declared in MAGICS.items():
        for command in declared:
            kind = "line_cell" if command.has_cell else "line"
            shell.register_magic_function(declare(lab, command, module), kind, command.name)
    Completion(connection).install(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics of this extension away; the engine goes on."""
    for registered in shell.magics_manager.magics.values():
        for name in commands.COMMANDS:
            registered.pop(name, None)
    Completion.uninstall(shell)
    aliases = shell.alias_manager
    aliases.default_aliases = aliases.trait_defaults("default_aliases")
    aliases.init_aliases()


def _hide_aliases(shell: Any) -> None:
    """Take IPython's aliases of our names away: `%rm` was the system's rm.

    IPython defines its aliases anew when a namespace is reset, and complains about each that a
    magic stands in the way of.
    """
    aliases = shell.alias_manager
    for name, _ in list(aliases.aliases):
        if name in commands.COMMANDS:
            aliases.undefine_alias(name)
    aliases.default_aliases = [
        pair for pair in aliases.default_aliases if pair[0] not in commands.COMMANDS
    ]
