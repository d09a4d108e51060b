"""%login and %logout."""

import getpass

from IPython.core.error import StdinNotImplementedError

from dockerlab.client.login import login as log_in
from dockerlab.client.login import logout as log_out
from dockerlab.errors import InvalidArgument
from dockerlab.notebook.declaring import Lab
from dockerlab.notebook.options import Arguments
from dockerlab.notebook.text import say

__all__ = ["login", "logout"]


def login(lab: Lab, arguments: Arguments) -> None:
    """Log in to a registry; what is not given is asked for, below the cell."""
    server = arguments.operands[0] if arguments.operands else ""
    try:
        username = arguments.text("username") or input("Username: ")
        password = arguments.text("password") or getpass.getpass("Password: ")
    except (StdinNotImplementedError, EOFError):
        raise InvalidArgument(
            "nobody is there to be asked for the password",
            "give -u USER and -p {variable}, or run `dockerlab login` in a terminal",
        ) from None
    say(log_in(lab.connection.session(), server, username, password))


def logout(_lab: Lab, arguments: Arguments) -> None:
    """Forget the credentials for a registry."""
    say(log_out(arguments.operands[0] if arguments.operands else ""))
