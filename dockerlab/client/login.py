"""Log in to a registry and out again; what a pull shows is found here, too.

The engine asks the registry whether the credentials are good (Engine API, ``POST /auth``) and
forgets them; keeping them is the client's business (`credentials`).
"""

import base64
import json
from dataclasses import replace

from dockerlab.client.credentials import CredentialFile, UserCredential
from dockerlab.client.refusals import check, engine_errors
from dockerlab.client.session import REQUEST_TIMEOUT_S, Session
from dockerlab.config import docker_config_path, process_environment
from dockerlab.errors import InvalidArgument
from dockerlab.oci.reference import DOCKER_HUB, parse_registry

__all__ = ["auth_header", "login", "logout", "user_file"]

HEADER = "X-Registry-Auth"


def user_file() -> CredentialFile:
    """Return the user's own file: in DOCKER_CONFIG, else in ``~/.docker``."""
    return CredentialFile(docker_config_path(process_environment()))


def login(
    session: Session,
    server: str,
    username: str,
    password: str,
    *,
    file: CredentialFile | None = None,
) -> str:
    """Log in to a registry, and keep the credentials for later pulls.

    Parameters
    ----------
    session : Session
        The engine that asks the registry.
    server : str
        As a user types it; '' is Docker Hub.
    username, password : str
        The password may be a token that the registry's site gave.
    file : CredentialFile, optional
        In place of the user's own.

    Returns
    -------
    str
        What the engine says: ``Login Succeeded``.

    Raises
    ------
    Unauthorized
        The registry does not take them; nothing is kept.
    Unavailable, Forbidden, InvalidArgument
        As they say.
    """
    registry = parse_registry(server)
    if not username or not password:
        raise InvalidArgument(
            "a login needs a user and a password", "give -u USER, and the password when asked"
        )
    credential = UserCredential(username=username, password=password)
    with engine_errors(session.address):
        response = session.api.post(
            f"{session.api.base_url}/v{session.api.api_version}/auth",
            data=json.dumps(credential.payload(registry)),
            headers={"Content-Type": "application/json"},
            timeout=REQUEST_TIMEOUT_S,
        )
        check(response)
        answer = response.json() if response.content else {}
    token = str(answer.get("IdentityToken") or "")
    (file or user_file()).keep(registry, replace(credential, identity_token=token))
    return str(answer.get("Status") or "Login Succeeded")


def logout(server: str, *, file: CredentialFile | None = None) -> str:
    """Forget the credentials for a registry, and return what was done in Docker's words.

    The registry is not told: a token that it gave lives on there to its end.
    """
    registry = parse_registry(server)
    shown = "https://index.docker.io/v1/" if registry == DOCKER_HUB else registry
    if (file or user_file()).forget(registry):
        return f"Removing login credentials for {shown}"
    return f"Not logged in to {shown}"


def auth_header(registry: str, *, file: CredentialFile | None = None) -> dict[str, str]:
    """Return the header that shows the engine the credentials for one registry; {} without any.

    Raises
    ------
    InvalidArgument, Unavailable
        As `CredentialFile.find`.
    """
    credential = (file or user_file()).find(registry)
    if credential is None:
        return {}
    data = json.dumps(credential.payload(registry)).encode()
    return {HEADER: base64.urlsafe_b64encode(data).decode("ascii")}
