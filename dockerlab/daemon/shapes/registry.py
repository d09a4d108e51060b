"""What clients send about registries: X-Registry-Auth, ``POST /auth``, filters of a search."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from dockerlab.engine.registry import Credential, SearchResult
from dockerlab.errors import InvalidArgument

__all__ = [
    "credential",
    "credential_from_header",
    "decode_header",
    "login_answer",
    "search_filter",
    "server_address",
]

_SEARCH_FLAGS = frozenset({"is-official", "is-automated"})
_TO_URL_ALPHABET = str.maketrans("+/", "-_")


def credential_from_header(text: str) -> Credential | None:
    """Decode the header; None when it says nothing.

    Raises
    ------
    InvalidArgument
        It is not base64 of a JSON object. What it is, is not repeated: it may be a secret.

    See Also
    --------
    Engine API, "Authentication"; RFC 4648, 5.
    """
    return credential(decode_header("X-Registry-Auth", text)) or None if text else None


def decode_header(name: str, text: str) -> dict[str, Any]:
    """Return the JSON object in a header, an empty one when it says nothing.

    Raises
    ------
    InvalidArgument
        It is not base64 of a JSON object. What it is, is not repeated: it may be a secret.
    """
    if not text:
        return {}
    try:
        # Clients differ in the alphabet and in whether they pad.
        padded = text.translate(_TO_URL_ALPHABET).rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
        data = base64.b64decode(padded, altchars=b"-_", validate=True)
        return msgspec.json.decode(data, type=dict[str, Any] | None) or {}
    except (binascii.Error, msgspec.MsgspecError, ValueError, RecursionError):
        raise InvalidArgument(
            f"invalid {name} header: expected base64url of a JSON object"
        ) from None


def credential(members: dict[str, Any]) -> Credential:
    """Return the credential of an AuthConfig; its keys are compared as Go does, without case."""
    return Credential(
        username=_text(members, "username"),
        password=_text(members, "password"),
        identity_token=_text(members, "identitytoken"),
        registry_token=_text(members, "registrytoken"),
    )


def server_address(members: dict[str, Any]) -> str:
    """Return which registry an AuthConfig is for; '' is Docker Hub."""
    return _text(members, "serveraddress")


def search_filter(filters: Mapping[str, Sequence[str]]) -> Callable[[SearchResult], bool]:
    """Return what tells whether a result passes the filters of a search.

    Raises
    ------
    InvalidArgument
        A filter that there is not, or a value that it cannot have.
    """
    wanted: list[Callable[[SearchResult], bool]] = []
    for name, values in filters.items():
        for value in values:
            if name == "stars" and value.isdigit():
                wanted.append(partial(_has_stars, int(value)))
            elif name in _SEARCH_FLAGS and value in ("true", "1", "false", "0"):
                wanted.append(partial(_is, name.replace("-", "_"), value in ("true", "1")))
            else:
                raise InvalidArgument(
                    f"invalid filter '{name}={value}': there are stars, is-official, is-automated"
                )
    return lambda result: all(test(result) for test in wanted)


def _has_stars(least: int, result: SearchResult) -> bool:
    return result.star_count >= least


def _is(field: str, expected: bool, result: SearchResult) -> bool:  # noqa: FBT001 - for `partial`
    return getattr(result, field) is expected


def login_answer(identity_token: str) -> dict[str, str]:
    """Return the answer to a login that the registry took."""
    return {"Status": "Login Succeeded", "IdentityToken": identity_token}


def _text(members: dict[str, Any], name: str) -> str:
    for key, value in members.items():
        if key.lower() == name and isinstance(value, str):
            return value
    return ""
