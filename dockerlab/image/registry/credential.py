"""What a registry is shown by a user: a password or a token, for this one registry.

A value that never prints its secrets. Who may see it is decided in `auth`.
"""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Credential", "Credentials", "no_credentials"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One way to prove who asks; of several the most special counts, as with Docker.

    Parameters
    ----------
    username, password : str
        For basic authentication, there or at the realm.
    identity_token : str
        What the realm gives an access token for (OAuth2's refresh token); comes before a password.
    registry_token : str
        A bearer token for the registry itself; comes before both.
    """

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(username={self.username!r}, …)"

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.registry_token)


# Name of a registry -> what it is to be shown, or None.
Credentials = Callable[[str], Credential | None]


def no_credentials(registry: str) -> Credential | None:
    """Know no credentials for any registry."""
    del registry
    return None
