"""Pulls from servers that misbehave: what is refused, what is tried again, what is left behind."""

import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dockerlab.errors import (
    BadDigest,
    Cancelled,
    DockerlabError,
    Forbidden,
    InvalidArgument,
    RegistryUnreachable,
    Unavailable,
    Unsupported,
)
from dockerlab.oci.digest import Digest
from tests.support.archives import END, archive, member
from tests.support.descriptors import count_descriptors
from tests.support.engine import wait_until
from tests.support.httpserver import Asked, Reply, Respond, running_server
from tests.support.pulling import HandmadeImage, Puller
from tests.support.registry import digest, push_image, running_registry

pytestmark = pytest.mark.needs_root


def _noise(name: str, size: int = 1_000_000) -> bytes:
    return archive((tarfile.TarInfo(name), os.urandom(size)))


@pytest.fixture
def image() -> HandmadeImage:
    return HandmadeImage(_noise("one"), _noise("two"))


def _first_times(image: HandmadeImage, part: str, *replies: Callable[[Reply], Reply]) -> Respond:
    """Let `replies` change the first answers to requests whose path contains `part`."""
    waiting = list(replies)

    def respond(asked: Asked) -> Reply:
        proper = image.respond(asked)
        return waiting.pop(0)(proper) if part in asked.path and waiting else proper

    return respond


def _pull(respond: Respond, folder: Path) -> tuple[Puller, list[Asked]]:
    with running_server(respond) as server:
        puller = Puller(folder)
        puller.pull_and_commit(f"{server.address}/app")
        return puller, server.asked


def _refuse(respond: Respond, folder: Path, kind: type[DockerlabError], match: str) -> Puller:
    """Pull, expect an error, and see that nothing was left but what can be resumed."""
    before = count_descriptors()
    puller = Puller(folder)
    with running_server(respond) as server, pytest.raises(kind, match=match):
        puller.pull(f"{server.address}/app")
    puller.session.close()
    assert puller.left_over() == []
    assert list(puller.layers.diff_ids()) == []
    # The server's threads are in this process too, and close their sides in their own time.
    wait_until(lambda: count_descriptors() <= before, "all descriptors are closed")
    return puller


def test_a_blob_of_other_bytes_is_refused(image: HandmadeImage, tmp_path: Path) -> None:
    one = image.layers[0]
    image.blobs[one] = image.blobs[one][:-1] + b"!"
    puller = _refuse(image.respond, tmp_path, BadDigest, f"{one} arrived with the digest sha256:")
    assert Digest(one) not in puller.content.partials()
    assert not puller.content.has(Digest(one))


def test_a_blob_of_another_length_is_refused_before_it_comes(
    image: HandmadeImage, tmp_path: Path
) -> None:
    image.blobs[image.layers[0]] += b"more"
    _refuse(image.respond, tmp_path, BadDigest, "bytes for sha256:")


def test_a_config_of_other_bytes_is_refused(image: HandmadeImage, tmp_path: Path) -> None:
    name = digest(image.config)
    image.blobs[name] = image.config[:-1] + b" "
    _refuse(image.respond, tmp_path, BadDigest, f"{name} arrived as")


def test_a_layer_that_is_not_its_diff_id_is_refused(image: HandmadeImage, tmp_path: Path) -> None:
    promised = image.config.split(b'"diff_ids": ["')[1][:71]
    other = image.config.replace(promised, digest(b"something else").encode())
    image.blobs[digest(other)] = other
    image.manifest = image.manifest.replace(digest(image.config).encode(), digest(other).encode())
    _refuse(image.respond, tmp_path, BadDigest, "failed to register layer: its contents are")


def test_a_hostile_layer_is_one_sentence(tmp_path: Path) -> None:
    evil = HandmadeImage(member(b"../../etc/evil", b"x") + END)
    _refuse(evil.respond, tmp_path, InvalidArgument, "leads out of the image")


def test_a_manifest_that_is_not_what_the_registry_says_is_refused(
    image: HandmadeImage, tmp_path: Path
) -> None:
    lie = {"Docker-Content-Digest": digest(b"something else")}
    respond = _first_times(
        image, "/manifests/", lambda r: Reply(headers=r.headers | lie, body=r.body)
    )
    _refuse(respond, tmp_path, BadDigest, "the manifest of .* arrived with the digest")


def test_a_manifest_that_is_not_its_digest_is_refused(image: HandmadeImage, tmp_path: Path) -> None:
    def respond(asked: Asked) -> Reply:
        proper = image.respond(Asked("GET", "/v2/app/manifests/latest", {}))
        return Reply(headers=proper.headers, body=proper.body) if asked.path else proper

    with running_server(respond) as server, pytest.raises(BadDigest):
        Puller(tmp_path).pull(f"{server.address}/app@{digest(b'another')}")


def test_an_endless_manifest_is_refused(image: HandmadeImage, tmp_path: Path) -> None:
    image.manifest += b" " * (5 << 20)
    _refuse(image.respond, tmp_path, Unavailable, "the manifest is larger than")


def test_an_endless_config_is_refused(image: HandmadeImage, tmp_path: Path) -> None:
    size = b'"size": %d' % len(image.config)
    image.manifest = image.manifest.replace(size, b'"size": 99999999', 1)
    _refuse(image.respond, tmp_path, Unavailable, "is larger than")


def test_layers_and_manifests_in_one_are_refused(tmp_path: Path) -> None:
    image = HandmadeImage(_noise("one", 10), manifest={"manifests": []})
    _refuse(image.respond, tmp_path, InvalidArgument, "both layers and manifests")


def test_an_old_schema_is_refused(image: HandmadeImage, tmp_path: Path) -> None:
    old = {"Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws"}
    respond = _first_times(image, "/manifests/", lambda r: Reply(headers=old, body=r.body))
    _refuse(respond, tmp_path, Unsupported, "schema 1")


def test_a_broken_download_is_resumed_where_it_broke(image: HandmadeImage, tmp_path: Path) -> None:
    def cut(reply: Reply) -> Reply:
        return Reply(status=reply.status, headers=reply.headers, body=reply.body, cut_at=600_000)

    puller, asked = _pull(_first_times(image, image.layers[0], cut), tmp_path)
    ranges = [a.headers.get("Range", "") for a in asked if image.layers[0] in a.path]
    assert ranges == ["", "bytes=600000-"]
    assert len(list(puller.layers.diff_ids())) == 2


def test_a_server_without_ranges_sends_all_again(image: HandmadeImage, tmp_path: Path) -> None:
    def cut(reply: Reply) -> Reply:
        return Reply(body=reply.body, cut_at=600_000)

    def whole(reply: Reply) -> Reply:
        del reply
        return Reply(body=image.blobs[image.layers[0]])

    puller, _ = _pull(_first_times(image, image.layers[0], cut, whole), tmp_path)
    assert len(list(puller.layers.diff_ids())) == 2


def test_another_range_than_was_asked_for_is_refused(image: HandmadeImage, tmp_path: Path) -> None:
    def cut(reply: Reply) -> Reply:
        return Reply(body=reply.body, cut_at=600_000)

    def shifted(reply: Reply) -> Reply:
        where = {"Content-Range": "bytes 0-599999/1000000"}
        return Reply(status=206, headers=where, body=reply.body)

    respond = _first_times(image, image.layers[0], cut, shifted)
    _refuse(respond, tmp_path, Unavailable, "another range")


def test_a_partial_of_other_bytes_is_begun_anew(image: HandmadeImage, tmp_path: Path) -> None:
    one = Digest(image.layers[0])
    puller = Puller(tmp_path)
    with puller.content.ingest(one, len(image.blobs[one])) as ingest:
        ingest.write(b"x" * 5000)
    puller, asked = _pull(image.respond, tmp_path)
    ranges = [a.headers.get("Range", "") for a in asked if one in a.path]
    assert ranges == ["bytes=5000-", ""]
    assert puller.content.has(one)


def test_a_busy_registry_is_asked_again(image: HandmadeImage, tmp_path: Path) -> None:
    busy = Reply(status=503)
    many = Reply(status=429, headers={"Retry-After": "1"})
    respond = _first_times(image, "/manifests/", lambda _: busy, lambda _: many)
    _, asked = _pull(respond, tmp_path)
    assert len([a for a in asked if "/manifests/" in a.path]) == 3


def test_who_wants_us_to_wait_long_is_not_waited_for(image: HandmadeImage, tmp_path: Path) -> None:
    body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your limit."}]}'
    later = Reply(status=429, headers={"Retry-After": "3600"}, body=body)
    respond = _first_times(image, "/manifests/", lambda _: later)
    puller = Puller(tmp_path)
    with running_server(respond) as server, pytest.raises(Unavailable) as caught:
        puller.pull(f"{server.address}/app")
    assert "toomanyrequests: You have reached your limit." in caught.value.message
    assert caught.value.hint == "try again in 3600 s"


def test_a_redirect_is_followed_without_the_token(image: HandmadeImage, tmp_path: Path) -> None:
    with running_server(image.respond) as storage:

        def respond(asked: Asked) -> Reply:
            if asked.path.startswith("/token"):
                return Reply(body=b'{"token":"secret"}')
            if asked.headers.get("Authorization") != "Bearer secret":
                challenge = f'Bearer realm="http://{asked.headers["Host"]}/token",service="s"'
                return Reply(status=401, headers={"WWW-Authenticate": challenge})
            if "/blobs/" in asked.path:
                return Reply(status=307, headers={"Location": storage.url + asked.path})
            return image.respond(asked)

        _pull(respond, tmp_path)
        assert len(storage.asked) == 3
        assert all("Authorization" not in asked.headers for asked in storage.asked)


def test_a_redirect_on_the_same_host_keeps_the_token(image: HandmadeImage, tmp_path: Path) -> None:
    def respond(asked: Asked) -> Reply:
        if asked.path.startswith("/token"):
            return Reply(body=b'{"access_token":"secret"}')
        if asked.headers.get("Authorization") != "Bearer secret":
            challenge = f'Bearer realm="http://{asked.headers["Host"]}/token"'
            return Reply(status=401, headers={"WWW-Authenticate": challenge})
        if "/blobs/" in asked.path and not asked.path.startswith("/moved"):
            return Reply(status=302, headers={"Location": "/moved" + asked.path})
        return image.respond(asked)

    _, asked = _pull(respond, tmp_path)
    assert len([a for a in asked if a.path.startswith("/moved")]) == 3


def test_redirects_in_a_circle_end(image: HandmadeImage, tmp_path: Path) -> None:
    def respond(asked: Asked) -> Reply:
        if "/blobs/" in asked.path:
            return Reply(status=302, headers={"Location": asked.path})
        return image.respond(asked)

    _refuse(respond, tmp_path, Unavailable, "redirects in a circle")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://x/", "http://:80/"])
def test_redirects_to_what_is_no_web_address_are_refused(
    location: str, image: HandmadeImage, tmp_path: Path
) -> None:
    respond = _first_times(
        image, "/manifests/", lambda _: Reply(status=302, headers={"Location": location})
    )
    _refuse(respond, tmp_path, Unavailable, "no address")


def test_a_realm_elsewhere_without_tls_is_refused(image: HandmadeImage, tmp_path: Path) -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="http://169.254.169.254/latest"'}
    respond = _first_times(image, "/manifests/", lambda _: Reply(status=401, headers=challenge))
    _refuse(respond, tmp_path, Forbidden, "169.254.169.254")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"token":""}', b'{"token":"a\\nb"}', b"[" * 50_000])
def test_a_token_that_is_none_is_refused(body: bytes, image: HandmadeImage, tmp_path: Path) -> None:
    def respond(asked: Asked) -> Reply:
        if asked.path.startswith("/token"):
            return Reply(body=body)
        challenge = f'Bearer realm="http://{asked.headers["Host"]}/token"'
        return Reply(status=401, headers={"WWW-Authenticate": challenge})

    _refuse(respond, tmp_path, Unavailable, "gives no token")


def test_one_failing_layer_ends_the_others_at_once(image: HandmadeImage, tmp_path: Path) -> None:
    never = threading.Event()

    def respond(asked: Asked) -> Reply:
        proper = image.respond(asked)
        if image.layers[0] in asked.path:
            return Reply(body=proper.body, cut_at=300_000, hold=never)
        if image.layers[1] in asked.path:
            return image.unknown("BLOB_UNKNOWN")
        return proper

    puller = Puller(tmp_path)
    with running_server(respond) as server:
        begin = time.monotonic()
        with pytest.raises(Unavailable, match="does not have all of"):
            puller.pull(f"{server.address}/app")
        # The server holds the other layer for half a minute; nobody waits for it.
        assert time.monotonic() - begin < 10
        never.set()
    assert puller.left_over() == []
    assert puller.content.partials().keys() <= {Digest(image.layers[0])}


def test_a_cancelled_pull_ends_at_once_and_the_next_goes_on(
    image: HandmadeImage, tmp_path: Path
) -> None:
    hold, arrived = threading.Event(), threading.Event()
    one = Digest(image.layers[0])

    def respond(asked: Asked) -> Reply:
        proper = image.respond(asked)
        if one in asked.path and not hold.is_set():
            arrived.set()
            return Reply(body=proper.body, cut_at=524_288, hold=hold)
        return proper

    puller = Puller(tmp_path)
    with running_server(respond) as server:
        name = f"{server.address}/app"

        def cancel() -> None:
            arrived.wait(20)
            while puller.content.partials().get(one, 0) < 524_288:
                time.sleep(0.01)
            puller.cancelled.set()

        thread = threading.Thread(target=cancel)
        thread.start()
        begin = time.monotonic()
        with pytest.raises(Cancelled):
            puller.pull(name)
        thread.join()
        assert time.monotonic() - begin < 10
        hold.set()
        assert puller.left_over() == []
        assert puller.content.partials()[one] == 524_288

        again = Puller(tmp_path)
        again.pull_and_commit(name)
        assert server.asked[-1].headers.get("Range", "bytes=524288-") == "bytes=524288-"
        assert len(list(again.layers.diff_ids())) == 2


def test_a_pull_cancelled_before_it_begins_asks_nobody(
    image: HandmadeImage, tmp_path: Path
) -> None:
    puller = Puller(tmp_path)
    puller.cancelled.set()
    with running_server(image.respond) as server, pytest.raises(Cancelled):
        puller.pull(f"{server.address}/app")
    assert puller.left_over() == []


def test_a_server_that_falls_silent_is_given_up_and_asked_again(
    image: HandmadeImage, tmp_path: Path
) -> None:
    never = threading.Event()
    one = image.layers[0]

    def silent(reply: Reply) -> Reply:
        return Reply(body=reply.body, cut_at=300_000, hold=never)

    with running_server(_first_times(image, one, silent)) as server:
        puller = Puller(tmp_path, read_timeout_s=0.5)
        try:
            puller.pull_and_commit(f"{server.address}/app")
        finally:
            never.set()
        ranges = [a.headers.get("Range", "") for a in server.asked if one in a.path]
    assert ranges[0] == ""
    assert ranges[1].startswith("bytes=")
    assert puller.content.has(Digest(one))


def test_two_pulls_of_one_image_share_a_download(image: HandmadeImage, tmp_path: Path) -> None:
    with running_server(image.respond) as server:
        name = f"{server.address}/app"
        pullers = [Puller(tmp_path), Puller(tmp_path)]
        threads = [threading.Thread(target=p.pull_and_commit, args=(name,)) for p in pullers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        blobs = [path for path in server.paths() if any(la in path for la in image.layers)]
    assert len(blobs) == 2
    assert len(list(pullers[0].layers.diff_ids())) == 2
    assert pullers[0].left_over() == []


_FULL_DISK = """
import sys
from pathlib import Path
from dockerlab.errors import EngineFailure
from tests.support.pulling import Puller
puller = Puller(Path("small"))
try:
    puller.pull(sys.argv[1])
except EngineFailure as exc:
    print(exc.message, puller.left_over())
"""


# Full with the documents, while the layers come, and while they are unpacked.
@pytest.mark.parametrize("size", ["32k", "1m", "3m"])
def test_a_full_disk_is_said_plainly_and_nothing_stays_staged(
    size: str, image: HandmadeImage, tmp_path: Path
) -> None:
    script = (
        f'mkdir small; mount -t tmpfs -o size={size} tmpfs small; {sys.executable} -c "$0" "$1"'
    )
    with running_server(image.respond) as server:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, _FULL_DISK, f"{server.address}/app"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
    assert "No space left on device" in done.stdout, done.stderr
    assert done.stdout.endswith(" []\n")


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, str]:
    """A self-signed certificate, as a registry's configuration names it."""
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    subprocess.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=registry -days 2 "
        f"-keyout {key} -out {certificate}",
        shell=True,
        check=True,
        capture_output=True,
    )
    return {"certificate": certificate, "key": key}


@pytest.mark.needs_registry
def test_tls_on_loopback_needs_no_certificate_to_be_trusted(
    certificate: dict[str, str], tmp_path: Path
) -> None:
    with running_registry(tmp_path / "registry") as plain:
        push_image(plain.address, "app", "1", [_noise("one", 100)])
    with running_registry(tmp_path / "registry", tls=certificate) as registry:
        assert Puller(tmp_path / "store").pull(f"{registry.address}/app:1").layers
        mirror = f"https://{registry.address}"
        with pytest.raises(RegistryUnreachable):
            Puller(tmp_path / "other", mirrors=[mirror]).pull("library/app:1")
        trusted = Puller(tmp_path / "third", mirrors=[mirror], insecure=[registry.address])
        with pytest.raises(RegistryUnreachable) as caught:
            trusted.pull("library/app:1")
        assert "manifest for library/app:1" not in caught.value.message
        assert "manifest unknown" in caught.value.hint
