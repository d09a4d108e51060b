"""Private registries with real parts: docker-registry, docker, credential helpers, TLS."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from dockerlab.client.login import login, logout
from dockerlab.client.pull import pull
from dockerlab.client.run import RunRequest, run
from dockerlab.client.session import Session, connect, fetch_json
from dockerlab.errors import DockerlabError, ManifestNotFound, Unauthorized
from tests.support.authority import Authority
from tests.support.engine import EngineUnderTest
from tests.support.httpserver import Asked, Reply, running_server
from tests.support.images import HELLO_TEXT, push_test_images
from tests.support.passwords import write_htpasswd
from tests.support.probes import why_not
from tests.support.pulling import HandmadeImage
from tests.support.registry import RunningRegistry, running_registry
from tests.support.tokenserver import running_token_server

pytestmark = pytest.mark.needs_registry

USERS = {"ada": "correct horse"}
HELPER = """#!{python}
import json, pathlib, sys
kept = pathlib.Path({kept!r})
known = json.loads(kept.read_text()) if kept.exists() else {{}}
verb, text = sys.argv[1], sys.stdin.read().strip()
if verb == "store":
    entry = json.loads(text)
    known[entry["ServerURL"]] = entry
elif text not in known:
    sys.exit(print("credentials not found in native keychain") or 1)
elif verb == "get":
    print(json.dumps(known[text]))
elif verb == "erase":
    del known[text]
kept.write_text(json.dumps(known))
"""


class Desk:
    """An engine of its own, and a user with a folder for the client's settings."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.settings = folder / "docker"
        self.config = folder / "config"
        self.programs = folder / "bin"
        self.programs.mkdir()
        patch.setenv("DOCKER_CONFIG", str(self.settings))
        patch.setenv("PATH", f"{self.programs}:{os.environ['PATH']}")
        self.engine = EngineUnderTest(environ={"XDG_CONFIG_HOME": str(self.config)})
        self._sessions: list[Session] = []

    def session(self) -> Session:
        if not self._sessions:
            self.engine.start()
            self._sessions.append(connect(self.engine.address))
        return self._sessions[0]

    def docker(self, *words: str, data: str = "") -> "subprocess.CompletedProcess[str]":
        self.session()
        return subprocess.run(
            ["docker", *words],
            input=data,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | {"DOCKER_HOST": self.engine.address},
        )

    def kept(self) -> dict[str, dict[str, str]]:
        document: dict[str, dict[str, dict[str, str]]] = json.loads(
            (self.settings / "config.json").read_text()
        )
        return document["auths"]

    def certificates(self, server: str) -> Path:
        folder = self.config / "dockerlab" / "certs.d" / server
        folder.mkdir(parents=True)
        return folder

    def close(self) -> None:
        for session in self._sessions:
            session.close()
        self.engine.close()


@pytest.fixture
def desk(tmp_path: Path, known_containers: set[str]) -> Iterator[Desk]:
    for marker in ("needs_root", "needs_namespaces", "needs_overlay", "needs_busybox"):
        if reason := why_not(marker):
            pytest.skip(f"{marker}: {reason}")
    with pytest.MonkeyPatch.context() as patch:
        opened = Desk(tmp_path, patch)
        try:
            yield opened
        finally:
            known_containers |= set(opened.engine.container_ids())
            print(opened.engine.log())  # noqa: T201 - shown with a failure
            opened.close()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a registry, filled before any password guards it."""
    folder = tmp_path_factory.mktemp("shelf")
    with running_registry(folder) as registry:
        push_test_images(registry.address)
    return folder


@pytest.fixture
def guarded(shelf: Path, tmp_path: Path) -> Iterator[RunningRegistry]:
    auth = write_htpasswd(tmp_path / "htpasswd", USERS)
    with running_registry(shelf, auth=auth) as registry:
        yield registry


@pytest.mark.needs_docker_cli
def test_the_docker_client_logs_in_runs_and_logs_out(desk: Desk, guarded: RunningRegistry) -> None:
    image = f"{guarded.address}/library/hello-world"
    assert "no basic auth credentials" in desk.docker("pull", image).stderr
    wrong = desk.docker("login", "-u", "ada", "--password-stdin", guarded.address, data="wrong")
    assert wrong.returncode == 1
    assert "unauthorized" in wrong.stderr

    words = ("login", "-u", "ada", "--password-stdin", guarded.address)
    assert "Login Succeeded" in desk.docker(*words, data=USERS["ada"]).stdout
    assert desk.docker("run", "--rm", image).stdout == HELLO_TEXT
    # What one client stored, the other finds.
    assert pull(desk.session(), image).reference == f"{image}:latest"

    assert desk.docker("logout", guarded.address).returncode == 0
    with pytest.raises(Unauthorized, match="wants a user and a password"):
        pull(desk.session(), image)
    assert USERS["ada"] not in desk.engine.log()


def test_a_run_pulls_with_what_login_kept(desk: Desk, guarded: RunningRegistry) -> None:
    session, image = desk.session(), f"{guarded.address}/library/hello-world"
    with pytest.raises(Unauthorized):
        login(session, guarded.address, "ada", "wrong")
    assert not (desk.settings / "config.json").exists()

    assert login(session, f"http://{guarded.address}/", "ada", USERS["ada"]) == "Login Succeeded"
    assert (desk.settings / "config.json").stat().st_mode & 0o777 == 0o600
    outcome = run(session, RunRequest(image=image, host_config={"AutoRemove": True}))
    assert (outcome.exit_code, outcome.stdout.decode()) == (0, HELLO_TEXT)

    assert logout(guarded.address) == f"Removing login credentials for {guarded.address}"
    assert logout(guarded.address) == f"Not logged in to {guarded.address}"


def test_a_pull_by_digest_is_authorized_too(desk: Desk, guarded: RunningRegistry) -> None:
    session, image = desk.session(), f"{guarded.address}/library/hello-world"
    login(session, guarded.address, "ada", USERS["ada"])
    digest = pull(session, image).digest
    session.api.remove_image(f"{image}:latest", force=True)
    assert pull(session, f"{image}@{digest}").digest == digest


def test_a_helper_keeps_the_password_out_of_the_file(desk: Desk, guarded: RunningRegistry) -> None:
    helper = desk.programs / "docker-credential-drawer"
    kept = desk.programs / "drawer.json"
    helper.write_text(HELPER.format(python=sys.executable, kept=str(kept)))
    helper.chmod(0o755)
    desk.settings.mkdir()
    (desk.settings / "config.json").write_text('{"credsStore": "drawer", "detachKeys": "ctrl-x"}')
    session = desk.session()

    login(session, guarded.address, "ada", USERS["ada"])
    document = json.loads((desk.settings / "config.json").read_text())
    assert document == {
        "credsStore": "drawer",
        "detachKeys": "ctrl-x",
        "auths": {guarded.address: {}},
    }
    assert json.loads(kept.read_text())[guarded.address]["Secret"] == USERS["ada"]
    assert pull(session, f"{guarded.address}/library/hello-world").digest

    logout(guarded.address)
    assert json.loads(kept.read_text()) == {}
    with pytest.raises(Unauthorized):
        pull(session, f"{guarded.address}/library/busybox")


def test_a_missing_helper_is_told_only_where_it_matters(
    desk: Desk, guarded: RunningRegistry, shelf: Path
) -> None:
    desk.settings.mkdir()
    (desk.settings / "config.json").write_text('{"credsStore": "elsewhere"}')
    session = desk.session()
    with running_registry(shelf) as public:
        assert pull(session, f"{public.address}/library/hello-world").digest
    with pytest.raises(Unauthorized) as caught:
        pull(session, f"{guarded.address}/library/busybox")
    assert '"docker-credential-elsewhere" is not on the PATH' in caught.value.hint


@pytest.mark.needs_docker_cli
def test_an_identity_token_takes_the_place_of_the_password(
    desk: Desk, shelf: Path, tmp_path: Path
) -> None:
    with (
        running_token_server(
            tmp_path / "keys", public=frozenset(), users=USERS, gives_identity=True
        ) as tokens,
        running_registry(shelf, auth=tokens.auth) as registry,
    ):
        image = f"{registry.address}/library/hello-world"
        with pytest.raises(ManifestNotFound, match="pull access denied"):
            pull(desk.session(), image)
        login(desk.session(), registry.address, "ada", USERS["ada"])
        entry = desk.kept()[registry.address]
        assert entry["identitytoken"] == "identity of ada"
        assert base64.b64decode(entry["auth"]) == b"ada:"
        assert pull(desk.session(), image).digest
        assert (asked := tokens.server.asked[-1]).method == "POST"
        assert b"grant_type=refresh_token" in asked.body
        # The docker client has it from the same file.
        assert desk.docker("pull", image).returncode == 0


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def _elsewhere(registry: RunningRegistry) -> str:
    # 0.0.0.0 leads to loopback, but by its name is not loopback, which has rules of its own.
    return registry.address.replace("127.0.0.1", "0.0.0.0")


def test_own_authority_and_client_certificate(
    desk: Desk, shelf: Path, authority: Authority
) -> None:
    certificate, key = authority.server("registry", "0.0.0.0", "127.0.0.1")
    tls = {
        "certificate": str(certificate),
        "key": str(key),
        "clientcas": [str(authority.certificate)],
    }
    with running_registry(shelf, tls=tls) as registry:
        server, session = _elsewhere(registry), desk.session()
        image = f"{server}/library/hello-world"
        with pytest.raises(DockerlabError, match=rf"certs\.d/{server}/ca\.crt"):
            pull(session, image)

        folder = desk.certificates(server)
        shutil.copy(authority.certificate, folder / "ca.crt")
        with pytest.raises(DockerlabError, match=r"client\.cert and client\.key"):
            pull(session, image)

        mine, my_key = authority.client("client")
        shutil.copy(mine, folder / "client.cert")
        with pytest.raises(DockerlabError, match=r'has no key; put it .* as "client\.key"'):
            pull(session, image)
        shutil.copy(my_key, folder / "client.key")
        assert pull(session, image).digest


def test_with_an_authority_loopback_has_to_show_a_certificate(
    desk: Desk, shelf: Path, authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.server("registry", "127.0.0.1")
    tls = {"certificate": str(certificate), "key": str(key)}
    with running_registry(shelf, tls=tls) as registry:
        session, image = desk.session(), f"{registry.address}/library/hello-world"
        assert pull(session, image).digest
        other = Authority(tmp_path / "other")
        shutil.copy(other.certificate, desk.certificates(registry.address) / "ca.crt")
        with pytest.raises(DockerlabError, match="over TLS"):
            pull(session, image)


@pytest.mark.parametrize("has_tls", [True, False])
def test_an_insecure_registry_has_to_be_called_so(
    desk: Desk, shelf: Path, authority: Authority, *, has_tls: bool
) -> None:
    certificate, key = authority.server("registry", "192.0.2.1")
    tls = {"certificate": str(certificate), "key": str(key)} if has_tls else None
    with running_registry(shelf, tls=tls) as registry:
        server = _elsewhere(registry)
        with pytest.raises(DockerlabError, match="insecure-registries"):
            pull(desk.session(), f"{server}/library/hello-world")
        desk.engine.stop()
        (desk.config / "dockerlab").mkdir(parents=True)
        path = desk.config / "dockerlab" / "config.toml"
        path.write_text(f'insecure-registries = ["{server}"]\n')
        desk.engine.start()
        assert pull(desk.session(), f"{server}/library/hello-world").digest


def test_what_is_left_of_a_limit_is_kept_and_shown(desk: Desk) -> None:
    image, left = HandmadeImage(), iter(("76", "75"))

    def respond(asked: Asked) -> Reply:
        reply = image.respond(asked)
        if "/manifests/" in asked.path:
            reply.headers["RateLimit-Limit"] = "100;w=21600"
            reply.headers["RateLimit-Remaining"] = f"{next(left)};w=21600"
            reply.headers["Docker-RateLimit-Source"] = "192.0.2.1"
        return reply

    with running_server(respond) as server:
        session = desk.session()
        assert fetch_json(session, "/dockerlab/ratelimits") == []
        for tag in ("a", "b"):
            pull(session, f"{server.address}/limited:{tag}")
    assert [
        (limit["registry"], limit["remaining"])
        for limit in cast("list[Any]", fetch_json(session, "/dockerlab/ratelimits"))
    ] == [(server.address, 75)]
    place = ["--root", str(desk.engine.root), "--socket", str(desk.engine.socket)]
    command = [sys.executable, "-m", "dockerlab", "engine", "status", *place]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (
        f"rate limit: {server.address}: 75 of 100 pulls left, in 6 h, counted for 192.0.2.1"
        in shown
    )


def test_the_command_logs_in_and_out(desk: Desk, guarded: RunningRegistry) -> None:
    desk.session()
    place = ["--root", str(desk.engine.root), "--socket", str(desk.engine.socket)]

    def command(*words: str, data: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "dockerlab", *words, *place, guarded.address],
            input=data,
            capture_output=True,
            text=True,
            check=False,
        )

    user = ("login", "-u", "ada", "--password-stdin")
    wrong = command(*user, data="wrong\n")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith(f'dockerlab: cannot log in to "{guarded.address}": unauthorized')
    assert command(*user, data=USERS["ada"] + "\n").stdout == "Login Succeeded\n"
    assert command("logout").stdout == f"Removing login credentials for {guarded.address}\n"
