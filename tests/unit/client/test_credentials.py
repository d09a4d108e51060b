import base64
import json
from pathlib import Path
from typing import Any

import pytest

from dockerlab.client.credentials import CredentialFile, UserCredential
from dockerlab.errors import InvalidArgument

ADA = UserCredential(username="ada", password="se:cret")
WORDS = base64.b64encode(b"ada:se:cret").decode()


def _file(folder: Path, **document: Any) -> CredentialFile:
    (folder / "config.json").write_text(json.dumps(document))
    return CredentialFile(folder / "config.json")


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("lab:5000", "lab:5000"),
        ("https://lab:5000/v2/", "lab:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
    ],
)
def test_a_registry_is_found_by_all_its_names(tmp_path: Path, key: str, registry: str) -> None:
    file = _file(tmp_path, auths={key: {"auth": WORDS}})
    assert file.find(registry) == ADA
    assert file.find("lab") is None


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"username": "ada", "password": "se:cret"}, ADA),
        (
            {"auth": base64.b64encode(b"ada:x\0\0").decode()},
            UserCredential(username="ada", password="x"),
        ),
        ({"registrytoken": "r"}, UserCredential(registry_token="r")),
        ({"auth": "!"}, None),
        ({"auth": None}, None),
        ({}, None),
        ("text", None),
    ],
)
def test_entries_of_all_kinds_are_read(
    tmp_path: Path, entry: Any, found: UserCredential | None
) -> None:
    assert _file(tmp_path, auths={"lab": entry}).find("lab") == found


def test_what_others_keep_in_the_file_stays(tmp_path: Path) -> None:
    file = _file(tmp_path, auths={"a": {"auth": WORDS}, "https://b/": {}}, detachKeys="ctrl-x")
    file.keep("b", UserCredential(username="bob", password="p", identity_token="t"))
    kept = json.loads((tmp_path / "config.json").read_text())
    bob = {"auth": base64.b64encode(b"bob:").decode(), "identitytoken": "t"}
    assert kept == {"auths": {"a": {"auth": WORDS}, "b": bob}, "detachKeys": "ctrl-x"}
    assert (file.forget("b"), file.forget("b")) == (True, False)
    assert file.find("a") == ADA


def test_a_link_stays_a_link_and_the_file_is_its_owner_s(tmp_path: Path) -> None:
    (tmp_path / "config.json").symlink_to(tmp_path / "real.json")
    CredentialFile(tmp_path / "config.json").keep("docker.io", ADA)
    assert (tmp_path / "config.json").is_symlink()
    assert (tmp_path / "real.json").stat().st_mode & 0o777 == 0o600
    assert (
        "https://index.docker.io/v1/" in json.loads((tmp_path / "real.json").read_text())["auths"]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "real.json"]


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "\x00"])
def test_a_damaged_file_is_said_and_not_written_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    file = CredentialFile(tmp_path / "config.json")
    for act in (lambda: file.find("a"), lambda: file.keep("a", ADA), lambda: file.forget("a")):
        with pytest.raises(InvalidArgument, match="not a JSON object"):
            act()
    assert (tmp_path / "config.json").read_text() == text


def test_a_credential_does_not_print_its_secrets() -> None:
    assert repr(ADA) == "UserCredential(username='ada', …)"
