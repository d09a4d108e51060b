"""Credentials as clients send them: the header X-Registry-Auth and the body of ``POST /auth``."""

import base64
import binascii
from typing import Any

import msgspec

from dockerlab.engine.registry import Credential
from dockerlab.errors import InvalidArgument

__all__ = [
    "credential",
    "credential_from_header",
    "decode_header",
    "login_answer",
    "server_address",
]

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


def login_answer(identity_token: str) -> dict[str, str]:
    """Return the answer to a login that the registry took."""
    return {"Status": "Login Succeeded", "IdentityToken": identity_token}


def _text(members: dict[str, Any], name: str) -> str:
    for key, value in members.items():
        if key.lower() == name and isinstance(value, str):
            return value
    return ""
