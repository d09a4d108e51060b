"""Pulls from a real registry that checks tokens, with a token server in front, as Docker Hub's."""

import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dockerlab.errors import ManifestNotFound, Unauthorized
from dockerlab.image.registry.credential import Credential
from tests.support.archives import archive
from tests.support.pulling import Puller
from tests.support.registry import push_image, running_registry
from tests.support.tokenserver import TokenServer, running_token_server

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_registry]

ADA = Credential(username="ada", password="secret")
_LAYERS = [archive((tarfile.TarInfo(f"file-{n}"), b"data")) for n in range(2)]


class _Guarded:
    """A registry that wants tokens, and the server that gives them."""

    def __init__(self, address: str, tokens: TokenServer) -> None:
        self.address = address
        self.tokens = tokens

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def scopes(self) -> list[str]:
        paths = self.tokens.server.paths()
        return [parse_qs(urlsplit(path).query)["scope"][0] for path in paths]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[_Guarded]:
    folder = tmp_path / "registry"
    with running_registry(folder) as open_registry:
        for name in ("library/hello-world", "private/app"):
            push_image(open_registry.address, name, "latest", _LAYERS)
    public = frozenset({"library/hello-world"})
    with (
        running_token_server(tmp_path / "keys", public=public, users={"ada": "secret"}) as tokens,
        running_registry(folder, auth=tokens.auth) as registry,
    ):
        yield _Guarded(registry.address, tokens)


def test_an_anonymous_token_is_fetched_once_and_serves_the_whole_pull(
    guarded: _Guarded, tmp_path: Path
) -> None:
    puller = Puller(tmp_path / "store", mirrors=[guarded.url])
    assert len(puller.pull_and_commit("hello-world").layers) == 2
    assert guarded.scopes() == ["repository:library/hello-world:pull"]
    puller.pull("hello-world")
    assert len(guarded.scopes()) == 1
    assert "Authorization" not in guarded.tokens.server.asked[0].headers


def test_the_token_belongs_to_the_phase_resolve(guarded: _Guarded, tmp_path: Path) -> None:
    puller = Puller(tmp_path / "store", mirrors=[guarded.url])
    puller.pull("hello-world")
    resolve, manifest = puller.stopwatch.phases[:2]
    assert (resolve.phase, manifest.phase) == ("resolve", "manifest")
    # Signing a token takes a process of its own, so this is no race: resolve holds all of it.
    assert resolve.duration_s > 0
    assert manifest.begin_s == pytest.approx(resolve.begin_s + resolve.duration_s)


def test_a_private_repository_is_denied_in_docker_s_words(
    guarded: _Guarded, tmp_path: Path
) -> None:
    name = f"{guarded.address}/private/app"
    with pytest.raises(ManifestNotFound) as caught:
        Puller(tmp_path / "store").pull(name)
    assert caught.value.message == (
        f"pull access denied for {name}, repository does not exist or may require "
        "'docker login': denied: requested access to the resource is denied"
    )


def test_credentials_open_it_and_go_to_the_realm_only(guarded: _Guarded, tmp_path: Path) -> None:
    def credentials(registry: str) -> Credential | None:
        return ADA if registry == guarded.address else None

    puller = Puller(tmp_path / "store", credentials=credentials)
    assert puller.pull(f"{guarded.address}/private/app").layers
    [asked] = guarded.tokens.server.asked
    assert asked.headers["Authorization"].startswith("Basic ")


def test_a_wrong_password_is_unauthorized(guarded: _Guarded, tmp_path: Path) -> None:
    puller = Puller(
        tmp_path / "store", credentials=lambda _: Credential(username="ada", password="wrong")
    )
    with pytest.raises(Unauthorized, match="incorrect username or password"):
        puller.pull(f"{guarded.address}/private/app")


def test_a_token_that_the_registry_refuses_is_asked_for_again(tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    with running_registry(folder) as open_registry:
        push_image(open_registry.address, "private/app", "latest", _LAYERS)
    with (
        # The registry forgives a minute (distribution, token.Leeway): this one lives two seconds.
        running_token_server(
            tmp_path / "keys", public=frozenset(), users={"ada": "secret"}, life_s=-57
        ) as tokens,
        running_registry(folder, auth=tokens.auth) as registry,
    ):
        puller = Puller(tmp_path / "store", credentials={registry.address: ADA}.get)
        puller.pull_and_commit(f"{registry.address}/private/app")
        assert len(tokens.server.asked) == 1
        time.sleep(3.5)
        puller.pull(f"{registry.address}/private/app")
        assert len(tokens.server.asked) == 2
