"""Uploads to a registry that breaks off, forgets, redirects and refuses, as scripted."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dockerlab.errors import Forbidden, Unauthorized, Unavailable
from dockerlab.image.registry import target as targets
from dockerlab.image.registry.mirrors import RegistrySettings
from dockerlab.image.registry.session import Session
from dockerlab.image.registry.target import Target, push_scopes
from dockerlab.oci.descriptor import Descriptor
from dockerlab.oci.digest import digest_of
from dockerlab.oci.reference import Reference
from tests.support.httpserver import Asked, Reply, ScriptedServer, running_server

_DATA = bytes(range(256)) * 40
_CHUNK = 4096


@pytest.fixture
def blob(tmp_path: Path) -> tuple[Path, Descriptor]:
    path = tmp_path / "blob"
    path.write_bytes(_DATA)
    return path, Descriptor(media_type="", digest=digest_of(_DATA), size=len(_DATA))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "_CHUNK_BYTES", _CHUNK)


def to(server: ScriptedServer) -> Target:
    reference = Reference(registry=server.address, repository="a/b", tag="t")
    found = Session(RegistrySettings()).target(reference, ["x/y"], threading.Event())
    found.connect()
    return found


class Registry:
    """Takes an upload, once what `fault` says is over."""

    def __init__(self, fault: Callable[["Registry", Asked], Reply | None]) -> None:
        self.data = b""
        self.faults = 0
        self._fault = fault

    def respond(self, asked: Asked) -> Reply:
        if asked.path == "/v2/":
            return Reply()
        if (reply := self._fault(self, asked)) is not None:
            self.faults += 1
            return reply
        headers = {"Location": "/upload/1?state=x"}
        if asked.method == "POST":
            return Reply(status=202, headers=headers)
        if asked.method == "GET":
            return Reply(status=204, headers={**headers, "Range": f"0-{len(self.data) - 1}"})
        if asked.method == "PATCH":
            begin = int(asked.headers["Content-Range"].partition("-")[0])
            if begin != len(self.data):
                return Reply(status=416, headers=headers)
            self.data += asked.body
            return Reply(status=202, headers=headers)
        return Reply(status=201, headers={"Location": "/v2/a/b/blobs/x"})


def test_a_blob_goes_in_chunks_and_is_named_at_the_end(blob: tuple[Path, Descriptor]) -> None:
    registry = Registry(lambda *_: None)
    told: list[int] = []
    with running_server(registry.respond) as server:
        target = to(server)
        target.upload(target.begin(), *blob, told.append)
    assert registry.data == _DATA
    assert [asked.method for asked in server.asked] == ["GET", "POST", *["PATCH"] * 3, "PUT"]
    assert server.asked[-1].path.endswith(f"?state=x&digest=sha256%3A{blob[1].digest[7:]}")
    assert told[-1] == len(_DATA)


@pytest.mark.parametrize("is_written", [True, False])
def test_a_broken_chunk_is_gone_on_with_where_the_registry_stands(
    blob: tuple[Path, Descriptor],
    is_written: bool,  # noqa: FBT001
) -> None:
    def fault(registry: Registry, asked: Asked) -> Reply | None:
        """Break off behind the second chunk, with a part of it written."""
        if asked.method != "PATCH" or len(registry.data) != _CHUNK or registry.faults:
            return None
        registry.data += asked.body[:1000] if is_written else b""
        return Reply(status=502)

    registry = Registry(fault)
    with running_server(registry.respond) as server:
        target = to(server)
        target.upload(target.begin(), *blob, lambda _: None)
    assert registry.data == _DATA
    assert registry.faults == 1


def test_a_registry_that_never_takes_it_is_left(
    blob: tuple[Path, Descriptor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "pause", lambda _: 0.0)
    registry = Registry(lambda _, asked: Reply(status=416) if asked.method == "PATCH" else None)
    with running_server(registry.respond) as server:
        target = to(server)
        where = target.begin()
        with pytest.raises(Unavailable, match="does not take a chunk"):
            target.upload(where, *blob, lambda _: None)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(status=401), Unauthorized, "cannot push"),
        (Reply(status=403), Forbidden, "denied: requested access to the resource is denied"),
        (
            Reply(status=405, body=b'{"errors":[{"code":"UNSUPPORTED","message":"read only"}]}'),
            Unavailable,
            "unsupported: read only",
        ),
        (Reply(status=202, headers={"Location": "file:///etc/passwd"}), Unavailable, "no address"),
        (Reply(status=202), Unavailable, "does not take"),
    ],
)
def test_what_a_refusal_means(reply: Reply, kind: type[Exception], words: str) -> None:
    registry = Registry(lambda _, asked: reply if asked.method == "POST" else None)
    with running_server(registry.respond) as server, pytest.raises(kind, match=words):
        to(server).begin()


def test_a_mount_that_is_not_made_becomes_an_upload() -> None:
    with running_server(Registry(lambda *_: None).respond) as server:
        where = to(server).mount(digest_of(b"x"), "x/y")
    assert where == f"{server.url}/upload/1?state=x"
    assert "from=x%2Fy" in server.asked[-1].path


def test_a_token_of_the_registry_goes_nowhere_else(blob: tuple[Path, Descriptor]) -> None:
    storage = Registry(lambda *_: None)
    with running_server(storage.respond) as elsewhere:

        def fault(_: Registry, asked: Asked) -> Reply | None:
            if "Authorization" not in asked.headers and asked.path.startswith("/v2/a"):
                challenge = f'Bearer realm="{server.url}/token",service="s"'
                return Reply(status=401, headers={"WWW-Authenticate": challenge})
            if asked.path.startswith("/token"):
                return Reply(body=b'{"token":"secret"}')
            if asked.method == "POST":
                return Reply(status=202, headers={"Location": f"{elsewhere.url}/upload/1?state=x"})
            return None

        with running_server(Registry(fault).respond) as server:
            target = to(server)
            target.upload(target.begin(), *blob, lambda _: None)
        assert storage.data == _DATA
        assert not any("Authorization" in asked.headers for asked in elsewhere.asked)
        [token] = [path for path in server.paths() if path.startswith("/token")]
        assert "scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Ax%2Fy%3Apull" in token


def test_the_scopes_of_a_push() -> None:
    assert push_scopes(["a", "b"], "a") == ("repository:a:pull,push", "repository:b:pull")
