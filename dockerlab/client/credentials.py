"""The user's credentials: the Docker client's `config.json` and the helpers that it names.

They stay on the client's side; the engine is sent one with the request that needs it (`login`,
`pull`). What the `docker` program has stored is found here, and the other way round. The file's
form is docker/cli's (cli/config/configfile).
"""

import base64
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockerlab.client import credentialhelper
from dockerlab.errors import BadReference, InvalidArgument, NotFound
from dockerlab.oci.reference import DOCKER_HUB, parse_registry

__all__ = ["CredentialFile", "UserCredential"]

# Under this name clients keep what is for Docker Hub.
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
# As the user of an identity token in a helper.
_TOKEN_USER = "<token>"  # noqa: S105 - a user's name


@dataclass(frozen=True, slots=True, kw_only=True)
class UserCredential:
    """What a registry is to be shown; it never prints its secrets."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(username={self.username!r}, …)"

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.registry_token)

    def payload(self, registry: str) -> dict[str, str]:
        """Return it as the Engine API's AuthConfig."""
        members = {
            "username": self.username,
            "password": self.password,
            "identitytoken": self.identity_token,
            "registrytoken": self.registry_token,
        }
        filled = {name: value for name, value in members.items() if value}
        return filled | {"serveraddress": _key(registry)}


class CredentialFile:
    """One `config.json`; it is read anew with every call, for other programs write it too.

    Parameters
    ----------
    path : Path
        Need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, registry: str) -> UserCredential | None:
        """Return what there is for a registry, by its name in references.

        Raises
        ------
        InvalidArgument
            The file is damaged.
        Unavailable
            Its credential helper is missing or fails.
        """
        document = self._read()
        if helper := _helper(document, registry):
            with suppress(NotFound):
                user, secret = credentialhelper.fetch(helper, _key(registry))
                if user == _TOKEN_USER:
                    return UserCredential(identity_token=secret)
                return UserCredential(username=user, password=secret)
        for key, entry in _members(document, "auths").items():
            if _is_for(key, registry) and (found := _from_entry(entry)):
                return found
        return None

    def keep(self, registry: str, credential: UserCredential) -> None:
        """Keep a credential for a registry, with its helper or else in the file.

        Raises
        ------
        InvalidArgument, Unavailable
            As `find`.
        """
        document = self._read()
        entry: dict[str, str] = {}
        if helper := _helper(document, registry):
            user, secret = credential.username, credential.password
            if credential.identity_token:
                user, secret = _TOKEN_USER, credential.identity_token
            credentialhelper.store(helper, _key(registry), user, secret)
        else:
            # With an identity token the password is not needed any more, and so not kept.
            password = "" if credential.identity_token else credential.password
            words = f"{credential.username}:{password}".encode()
            entry["auth"] = base64.b64encode(words).decode("ascii")
            if credential.identity_token:
                entry["identitytoken"] = credential.identity_token
        auths = _members(document, "auths")
        others = {key: value for key, value in auths.items() if not _is_for(key, registry)}
        self._write({**document, "auths": {**others, _key(registry): entry}})

    def forget(self, registry: str) -> bool:
        """Forget what there is for a registry; tell whether there was anything.

        Raises
        ------
        InvalidArgument, Unavailable
            As `find`.
        """
        document = self._read()
        was_known = False
        if helper := _helper(document, registry):
            with suppress(NotFound):
                # Some helpers are content to erase what they do not have.
                credentialhelper.fetch(helper, _key(registry))
                was_known = True
                credentialhelper.erase(helper, _key(registry))
        auths = _members(document, "auths")
        others = {key: value for key, value in auths.items() if not _is_for(key, registry)}
        if len(others) < len(auths):
            was_known = True
            self._write({**document, "auths": others})
        return was_known

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8") or "{}")
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as exc:
            raise InvalidArgument(f'cannot read "{self._path}": {exc.strerror}') from exc
        except (ValueError, RecursionError):
            raise self._damaged() from None
        if not isinstance(document, dict):
            raise self._damaged()
        return document

    def _damaged(self) -> InvalidArgument:
        return InvalidArgument(
            f'cannot read "{self._path}": it is not a JSON object', "repair it or move it away"
        )

    def _write(self, document: Mapping[str, Any]) -> None:
        # The file may be a link into somebody's collection of settings, and stay one.
        path = self._path.resolve()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    json.dump(document, file, indent="\t")
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as exc:
            raise InvalidArgument(f'cannot write "{self._path}": {exc.strerror}') from exc


def _key(registry: str) -> str:
    return _DOCKER_HUB_KEY if registry == DOCKER_HUB else registry


def _is_for(key: str, registry: str) -> bool:
    """Tell whether a key of the file, perhaps an address of old, means a registry."""
    try:
        return parse_registry(key) == registry
    except BadReference:
        return False


def _helper(document: Mapping[str, Any], registry: str) -> str:
    for key, helper in _members(document, "credHelpers").items():
        if _is_for(key, registry) and isinstance(helper, str):
            return helper
    store = document.get("credsStore", "")
    return store if isinstance(store, str) else ""


def _members(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    members = document.get(name)
    return members if isinstance(members, dict) else {}


def _from_entry(entry: object) -> UserCredential | None:
    """Return the credential of one member of ``auths``; None when it has none that can be read."""
    if not isinstance(entry, dict):
        return None
    words = {name: str(entry.get(name) or "") for name in ("username", "password", "auth")}
    user, password = words["username"], words["password"]
    if words["auth"]:
        try:
            user, _, password = base64.b64decode(words["auth"]).decode().partition(":")
        except ValueError:
            return None
    found = UserCredential(
        username=user,
        # Docker's file of old is padded.
        password=password.strip("\0"),
        identity_token=str(entry.get("identitytoken") or ""),
        registry_token=str(entry.get("registrytoken") or ""),
    )
    return found or None
