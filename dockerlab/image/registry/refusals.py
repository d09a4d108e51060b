"""What a registry's refusal means to the user, in Docker's phrases: clients read them.

Pure: from a status and a text to an error. See distribution-spec/spec.md#error-codes.
"""

from dataclasses import dataclass

from dockerlab.errors import (
    DockerlabError,
    ManifestNotFound,
    RegistryUnreachable,
    Unauthorized,
    Unavailable,
)
from dockerlab.oci.reference import Reference

__all__ = ["Refusal", "refusal_error"]

_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 400, 401, 403, 404

_DENIED = "denied: requested access to the resource is denied"
_MANIFEST_UNKNOWN = "manifest unknown: manifest unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer that is not the one that was hoped for.

    `text` is ``code in words: message`` as `transport.describe_errors` returns it, `is_denied` that
    the challenge speaks of an insufficient scope.
    """

    status: int
    text: str
    host: str
    is_denied: bool
    is_manifest: bool
    is_plain: bool


def refusal_error(refusal: Refusal, reference: Reference) -> DockerlabError:
    """Return the error to raise."""
    text, name = refusal.text, reference.familiar_name
    if refusal.is_denied or refusal.status == _FORBIDDEN or text.startswith("denied"):
        return ManifestNotFound(
            f"pull access denied for {name}, repository does not exist or may require "
            f"'docker login': {text if text.startswith('denied') else _DENIED}"
        )
    if refusal.status == _UNAUTHORIZED:
        return Unauthorized(f'cannot pull "{name}": {text}', "log in to the registry first")
    if refusal.status == _NOT_FOUND and text.startswith("name unknown"):
        return ManifestNotFound(f"repository {name} not found: {text}")
    if refusal.status == _NOT_FOUND and refusal.is_manifest:
        # Registries write what they like behind the code; Docker shows the code twice.
        return ManifestNotFound(f"manifest for {reference.familiar} not found: {_MANIFEST_UNKNOWN}")
    if refusal.status == _BAD_REQUEST and refusal.is_plain and "https" in text.lower():
        return RegistryUnreachable(f'"{refusal.host}" answers over TLS only')
    if refusal.status == _NOT_FOUND:
        return Unavailable(f'"{refusal.host}" does not have all of "{name}": {text}')
    return Unavailable(f'"{refusal.host}" refuses "{name}": {text}')
