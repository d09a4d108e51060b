"""%docker: any command line of Docker's, given to the magic that does it."""

from typing import Any

from dockerlab.notebook.declaring import Lab, perform
from dockerlab.notebook.dockerlines import read_line
from dockerlab.notebook.extension import MAGICS
from dockerlab.notebook.options import Arguments

__all__ = ["docker"]


def docker(lab: Lab, arguments: Arguments) -> Any:
    """Return what the magic of the command returns."""
    command, words = read_line(arguments.operands)
    module = next(name for name, declared in MAGICS.items() if command in declared)
    return perform(lab, command, module, words)
