"""Credential helpers: the programs ``docker-credential-NAME`` that keep secrets for clients.

One verb a call, JSON on their standard streams (https://github.com/docker/docker-credential-helpers).
Which helper is asked for what is decided in `credentials`.
"""

import json
import shutil
import subprocess

from dockerlab.errors import NotFound, Unavailable

__all__ = ["erase", "fetch", "store"]

# A helper may have to ask its user to unlock something.
_PATIENCE_S = 120.0
# What all of them say of a server that they do not know; there is no other sign.
_NOT_FOUND = "credentials not found"
_MAX_SHOWN = 200


def fetch(helper: str, server: str) -> tuple[str, str]:
    """Return user and secret for a server; the user ``<token>`` has an identity token.

    Raises
    ------
    NotFound
        The helper knows none.
    Unavailable
        There is no such helper, or it fails.
    """
    answer = _run(helper, "get", server)
    try:
        found = json.loads(answer)
        user, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError):
        # Not from the exception, which has the answer and so perhaps a secret.
        raise Unavailable(f'"{_program(helper)}" gives no credentials that can be read') from None
    if not secret:
        raise NotFound(f'"{_program(helper)}" knows nothing for "{server}"')
    return user, secret


def store(helper: str, server: str, user: str, secret: str) -> None:
    """Have a secret kept, in place of an earlier one.

    Raises
    ------
    Unavailable
        There is no such helper, or it fails.
    """
    _run(helper, "store", json.dumps({"ServerURL": server, "Username": user, "Secret": secret}))


def erase(helper: str, server: str) -> None:
    """Have what is kept for a server forgotten.

    Raises
    ------
    NotFound
        The helper knows nothing of it.
    Unavailable
        There is no such helper, or it fails.
    """
    _run(helper, "erase", server)


def _program(helper: str) -> str:
    return f"docker-credential-{helper}"


def _run(helper: str, verb: str, text: str) -> str:
    program = _program(helper)
    path = shutil.which(program) if helper and "/" not in helper else None
    if path is None:
        raise Unavailable(
            f'the credential helper "{program}" is not on the PATH',
            "install it, or take it out of the Docker client's config.json",
        )
    try:
        done = subprocess.run(
            [path, verb],
            input=text,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it does not answer properly"
        raise Unavailable(f'the credential helper "{program}" fails: {why}') from None
    if done.returncode == 0:
        return done.stdout
    said = " ".join((done.stdout + done.stderr).split())[:_MAX_SHOWN]
    if _NOT_FOUND in said.lower():
        raise NotFound(f'"{program}" knows nothing for the registry')
    raise Unavailable(f'the credential helper "{program}" fails: {said or done.returncode}')
