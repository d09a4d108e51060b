"""The requirements of the distribution specification, as a table, asked of a running hub.

Each row is one exchange: what is asked, and the status, headers and body that the specification
wants. See distribution-spec/spec.md; the rows are in its order.
"""

import hashlib
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub import RunningHub, running_hub

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_REPOSITORY = "/v2/lab/image"
_BLOB = b"the bytes of a layer, which are not looked into" * 100


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)}


def manifest(*, subject: bytes | None = None, **fields: Any) -> bytes:
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": descriptor(b"{}", "application/vnd.oci.empty.v1+json"),
        "layers": [descriptor(_BLOB, "application/vnd.lab.anything")],
        **fields,
    }
    if subject is not None:
        document["subject"] = descriptor(subject, _MANIFEST)
    return json.dumps(document).encode()


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def code(self) -> str:
        """The first error's code."""
        return str(json.loads(self.body)["errors"][0]["code"])


@dataclass(slots=True)
class Client:
    address: str
    headers: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            path = path.removeprefix(f"http://{self.address}")
            connection.request(method, path, body, self.headers | (headers or {}))
            answer = connection.getresponse()
            found = {key.lower(): value for key, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def push_blob(self, data: bytes, repository: str = _REPOSITORY) -> None:
        where = self.ask("POST", f"{repository}/blobs/uploads/").headers["location"]
        done = self.ask("PUT", f"{where}?digest={digest(data)}", data)
        assert done.status == 201, done

    def push_manifest(self, data: bytes, reference: str, kind: str = _MANIFEST) -> Answer:
        path = f"{_REPOSITORY}/manifests/{reference}"
        return self.ask("PUT", path, data, {"Content-Type": kind})


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture(scope="module")
def client(hub: RunningHub) -> Client:
    made = Client(hub.address)
    for data in (_BLOB, b"{}"):
        made.push_blob(data)
    for tag in ("a", "b", "c"):
        assert made.push_manifest(manifest(), tag).status == 201
    return made


_HERE = f"{_REPOSITORY}/blobs/{digest(_BLOB)}"
_AWAY = f"{_REPOSITORY}/blobs/{digest(b'away')}"
_DOCUMENT = f"{_REPOSITORY}/manifests/{digest(manifest())}"
_UPLOADS = f"{_REPOSITORY}/blobs/uploads/"

# method, path, headers, status, what the answer has: headers, or the code of its error
_TABLE: list[tuple[str, str, dict[str, str], int, dict[str, str] | str]] = [
    ("GET", "/v2/", {}, 200, {}),
    # Pulling manifests
    ("GET", f"{_REPOSITORY}/manifests/a", {}, 200, {"content-type": _MANIFEST}),
    ("HEAD", f"{_REPOSITORY}/manifests/a", {}, 200, {"docker-content-digest": digest(manifest())}),
    ("GET", _DOCUMENT, {}, 200, {"content-length": str(len(manifest()))}),
    ("GET", f"{_REPOSITORY}/manifests/none", {}, 404, "MANIFEST_UNKNOWN"),
    ("HEAD", f"{_REPOSITORY}/manifests/none", {}, 404, {}),
    ("GET", f"{_REPOSITORY}/manifests/sha256:short", {}, 400, "DIGEST_INVALID"),
    ("GET", "/v2/no/such/manifests/a", {}, 404, "MANIFEST_UNKNOWN"),
    # Pulling blobs
    ("GET", _HERE, {}, 200, {"content-length": str(len(_BLOB))}),
    ("HEAD", _HERE, {}, 200, {"docker-content-digest": digest(_BLOB)}),
    ("GET", _HERE, {"Range": "bytes=3-9"}, 206, {"content-range": f"bytes 3-9/{len(_BLOB)}"}),
    ("GET", _HERE, {"Range": "bytes=5-"}, 206, {"content-length": str(len(_BLOB) - 5)}),
    ("GET", _HERE, {"Range": "bytes=999999-"}, 416, {"content-range": f"bytes */{len(_BLOB)}"}),
    ("GET", _AWAY, {}, 404, "BLOB_UNKNOWN"),
    ("HEAD", _AWAY, {}, 404, {}),
    ("GET", f"{_REPOSITORY}/blobs/sha512:{'0' * 128}", {}, 400, "DIGEST_INVALID"),
    ("GET", f"/v2/other/blobs/{digest(_BLOB)}", {}, 404, "BLOB_UNKNOWN"),
    # Pushing
    ("POST", _UPLOADS, {}, 202, {"range": "0-0"}),
    ("POST", f"{_UPLOADS}?digest=nonsense", {}, 400, "DIGEST_INVALID"),
    ("PUT", f"{_UPLOADS}{'0' * 32}?digest={digest(b'')}", {}, 404, "BLOB_UPLOAD_UNKNOWN"),
    ("PATCH", f"{_UPLOADS}{'0' * 32}", {}, 404, "BLOB_UPLOAD_UNKNOWN"),
    # Mounting
    (
        "POST",
        f"/v2/m/blobs/uploads/?mount={digest(_BLOB)}&from=lab/image",
        {},
        201,
        {"location": f"/v2/m/blobs/{digest(_BLOB)}"},
    ),
    ("POST", f"/v2/m/blobs/uploads/?mount={digest(b'away')}&from=lab/image", {}, 202, {}),
    ("POST", f"/v2/m/blobs/uploads/?mount={digest(_BLOB)}&from=no/such", {}, 202, {}),
    # Listing
    ("GET", "/v2/no/such/tags/list", {}, 404, "NAME_UNKNOWN"),
    ("GET", f"{_REPOSITORY}/tags/list?n=x", {}, 400, "PAGINATION_NUMBER_INVALID"),
    ("GET", f"{_REPOSITORY}/referrers/{digest(b'none')}", {}, 200, {"content-type": _INDEX}),
    ("GET", f"{_REPOSITORY}/referrers/x", {}, 400, "DIGEST_INVALID"),
    # Deleting what is not there
    ("DELETE", _AWAY, {}, 404, "BLOB_UNKNOWN"),
    ("DELETE", f"{_REPOSITORY}/manifests/none", {}, 404, "MANIFEST_UNKNOWN"),
    # Names that are none
    ("GET", "/v2/UPPER/tags/list", {}, 404, "NAME_UNKNOWN"),
    ("GET", "/v2/../../etc/passwd", {}, 404, "NAME_UNKNOWN"),
    ("POST", "/v2/a/../b/blobs/uploads/", {}, 400, "NAME_INVALID"),
    ("GET", "/v2/" + "a/" * 150 + "b/tags/list", {}, 400, "NAME_INVALID"),
    ("PUT", f"{_REPOSITORY}/manifests/bad%20tag", {}, 400, "MANIFEST_INVALID"),
]


@pytest.mark.parametrize(("method", "path", "headers", "status", "expected"), _TABLE)
def test_a_requirement(
    client: Client,
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
    expected: dict[str, str] | str,
) -> None:
    answer = client.ask(method, path, headers=headers)
    assert answer.status == status, answer
    if isinstance(expected, str):
        assert answer.code == expected
    else:
        assert answer.headers.items() >= expected.items()


def test_a_blob_in_one_request(client: Client) -> None:
    data = b"monolithic"
    answer = client.ask("POST", f"{_UPLOADS}?digest={digest(data)}", data)
    assert (answer.status, answer.headers["docker-content-digest"]) == (201, digest(data))
    assert client.ask("GET", answer.headers["location"]).body == data


def test_chunks_come_in_order_and_can_be_gone_on_with(client: Client) -> None:
    data = bytes(range(200)) * 10
    where = client.ask("POST", _UPLOADS).headers["location"]
    answer = client.ask("PATCH", where, data[:1000], {"Content-Range": "0-999"})
    assert (answer.status, answer.headers["range"]) == (202, "0-999")
    wrong = client.ask("PATCH", where, data[1500:], {"Content-Range": "1500-1999"})
    assert (wrong.status, wrong.headers["content-range"]) == (416, "0-999")
    short = client.ask("PATCH", where, data[1000:1100], {"Content-Range": "1000-1999"})
    assert short.status == 416
    known = client.ask("GET", where)
    assert (known.status, known.headers["range"]) == (204, "0-999")
    done = client.ask("PUT", f"{where}?digest={digest(data)}", data[1000:])
    assert done.status == 201
    assert client.ask("GET", f"{_REPOSITORY}/blobs/{digest(data)}").body == data


def test_an_upload_belongs_to_its_repository_and_can_be_given_up(client: Client) -> None:
    where = client.ask("POST", _UPLOADS).headers["location"]
    assert client.ask("GET", where.replace("lab/image", "lab/other")).status == 404
    assert client.ask("DELETE", where).status == 204
    assert client.ask("GET", where).status == 404


def test_other_bytes_than_were_promised_are_thrown_away(client: Client, hub: RunningHub) -> None:
    where = client.ask("POST", _UPLOADS).headers["location"]
    answer = client.ask("PUT", f"{where}?digest={digest(b'right')}", b"wrong")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert client.ask("GET", f"{_REPOSITORY}/blobs/{digest(b'right')}").status == 404
    assert client.ask("GET", f"{_REPOSITORY}/blobs/{digest(b'wrong')}").status == 404
    assert not (hub.root / "content" / "blobs" / "sha256" / digest(b"wrong")[7:]).exists()


@pytest.mark.parametrize(
    ("data", "kind", "status", "code"),
    [
        (manifest(layers=[descriptor(b"away", "x/y")]), _MANIFEST, 404, "MANIFEST_BLOB_UNKNOWN"),
        (
            manifest(layers=[descriptor(_BLOB, "x/y") | {"size": 3}]),
            _MANIFEST,
            400,
            "MANIFEST_INVALID",
        ),
        (manifest(manifests=[]), _MANIFEST, 400, "MANIFEST_INVALID"),
        (manifest(), _INDEX, 400, "MANIFEST_INVALID"),
        (manifest(schemaVersion=1), _MANIFEST, 400, "MANIFEST_INVALID"),
        (b"{", _MANIFEST, 400, "MANIFEST_INVALID"),
        (b"[" * 200_000, _MANIFEST, 400, "MANIFEST_INVALID"),
        (
            manifest(config={"mediaType": "x/y", "digest": "../../x", "size": 1}),
            _MANIFEST,
            400,
            "MANIFEST_INVALID",
        ),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(
    client: Client, data: bytes, kind: str, status: int, code: str
) -> None:
    answer = client.push_manifest(data, "bad", kind)
    assert (answer.status, answer.code) == (status, code)
    assert client.ask("GET", f"{_REPOSITORY}/manifests/bad").status == 404


def test_a_manifest_under_another_digest_is_refused(client: Client) -> None:
    answer = client.push_manifest(manifest(), digest(b"other"))
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_too_large_a_manifest_is_refused(client: Client) -> None:
    # Its length is enough: the connection ends before the rest is read.
    with pytest.raises(ConnectionError):
        client.push_manifest(b" " * (64 << 20), "large")
    assert client.ask("GET", f"{_REPOSITORY}/manifests/large").status == 404


def test_tags_come_in_pages(client: Client) -> None:
    first = client.ask("GET", f"{_REPOSITORY}/tags/list?n=2")
    assert json.loads(first.body)["tags"] == ["a", "b"]
    [following] = [first.headers["link"].partition(">")[0].removeprefix("<")]
    assert json.loads(client.ask("GET", following).body)["tags"][0] == "c"
    assert json.loads(client.ask("GET", f"{_REPOSITORY}/tags/list?n=0").body)["tags"] == []


def test_referrers_are_listed_with_their_type_and_annotations(client: Client) -> None:
    about = manifest(annotations={"which": "subject"})
    assert client.push_manifest(about, digest(about)).status == 201
    one = manifest(subject=about, artifactType="lab/signature", annotations={"by": "me"})
    other = manifest(subject=about)
    for data in (one, other):
        answer = client.push_manifest(data, digest(data))
        assert answer.headers["oci-subject"] == digest(about)
    path = f"{_REPOSITORY}/referrers/{digest(about)}"
    listed = json.loads(client.ask("GET", path).body)["manifests"]
    assert {found["digest"] for found in listed} == {digest(one), digest(other)}
    answer = client.ask("GET", f"{path}?artifactType=lab/signature")
    assert answer.headers["oci-filters-applied"] == "artifactType"
    [found] = json.loads(answer.body)["manifests"]
    assert (found["artifactType"], found["annotations"]) == ("lab/signature", {"by": "me"})
    assert client.ask("DELETE", f"{_REPOSITORY}/manifests/{digest(one)}").status == 202
    assert len(json.loads(client.ask("GET", path).body)["manifests"]) == 1


def test_deleted_is_gone(client: Client) -> None:
    data = b"to be deleted"
    client.push_blob(data)
    assert client.ask("DELETE", f"{_REPOSITORY}/blobs/{digest(data)}").status == 202
    assert client.ask("GET", f"{_REPOSITORY}/blobs/{digest(data)}").status == 404
    doomed = manifest(annotations={"is": "doomed"})
    for tag in ("doomed1", "doomed2"):
        client.push_manifest(doomed, tag)
    assert client.ask("DELETE", f"{_REPOSITORY}/manifests/doomed1").status == 202
    assert client.ask("GET", f"{_REPOSITORY}/manifests/doomed2").status == 200
    assert client.ask("DELETE", f"{_REPOSITORY}/manifests/{digest(doomed)}").status == 202
    assert client.ask("GET", f"{_REPOSITORY}/manifests/doomed2").status == 404


def test_a_blob_of_two_repositories_outlives_the_first(client: Client) -> None:
    data = b"shared by two"
    for repository in ("/v2/one", "/v2/two"):
        client.push_blob(data, repository)
    assert client.ask("DELETE", f"/v2/one/blobs/{digest(data)}").status == 202
    assert client.ask("GET", f"/v2/two/blobs/{digest(data)}").body == data


def test_who_has_no_token_gets_nothing(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    with running_hub(tmp_path / "hub", "--token-file", str(token)) as hub:
        stranger = Client(hub.address)
        for method, path in (("GET", "/v2/"), ("GET", "/v2/_catalog"), ("POST", _UPLOADS)):
            answer = stranger.ask(method, path)
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
            assert answer.headers["www-authenticate"].startswith("Basic ")
        for wrong in ("Bearer x", "Basic !", "Basic YTpi", "Digest 0123456789abcdef"):
            assert stranger.ask("GET", "/v2/", headers={"Authorization": wrong}).status == 401
        friend = Client(hub.address, {"Authorization": "Bearer 0123456789abcdef"})
        friend.push_blob(_BLOB)
        assert "0123456789abcdef" not in hub.log.read_text()


def test_read_only_is_that(tmp_path: Path) -> None:
    with running_hub(tmp_path / "hub", "--read-only") as hub:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = Client(hub.address).ask(method, _UPLOADS)
            assert (answer.status, answer.code) == (405, "UNSUPPORTED")


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (["--listen", "0.0.0.0"], {}, "give it --token-file or --read-only"),
        (
            ["--listen", "0.0.0.0", "--read-only"],
            {"DOCKERLAB_UPSTREAM_USER": "ada"},
            "what only DOCKERLAB_UPSTREAM_USER may",
        ),
        (["--tls-key", "x"], {}, "go together"),
        (["--token-file", "/dev/null"], {}, "shorter than"),
    ],
)
def test_it_is_not_open_by_mistake(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], words: str
) -> None:
    with (
        pytest.raises(RuntimeError, match=words),
        running_hub(tmp_path / "hub", *arguments, environ=environ),
    ):
        pass


def test_beyond_loopback_without_a_token_nothing_is_listed(tmp_path: Path) -> None:
    with running_hub(tmp_path / "hub") as hub:
        client = Client(hub.address)
        for data in (_BLOB, b"{}"):
            client.push_blob(data)
        client.push_manifest(manifest(), "a")
        assert json.loads(client.ask("GET", "/v2/_catalog").body)["repositories"] == ["lab/image"]
    with running_hub(tmp_path / "hub", "--read-only", "--listen", "0.0.0.0") as hub:
        client = Client(hub.address.replace("0.0.0.0", "127.0.0.1"))
        assert json.loads(client.ask("GET", "/v2/_catalog").body)["repositories"] == []
        assert client.ask("GET", f"{_REPOSITORY}/manifests/a").status == 200


def test_too_large_a_blob_is_refused_as_it_comes(tmp_path: Path) -> None:
    with running_hub(tmp_path / "hub", "--max-blob-size", "1m") as hub:
        client = Client(hub.address)
        where = client.ask("POST", _UPLOADS).headers["location"]
        answer = client.ask("PATCH", where, bytes(2 << 20))
        assert (answer.status, answer.code) == (413, "SIZE_INVALID")
        assert client.ask("GET", where).status == 404
        assert not list((hub.root / "content" / "ingest").iterdir())


def test_what_no_manifest_came_for_is_gone_at_the_next_start(tmp_path: Path) -> None:
    with running_hub(tmp_path / "hub") as hub:
        client = Client(hub.address)
        for data in (_BLOB, b"{}", b"orphan"):
            client.push_blob(data)
        client.push_manifest(manifest(), "a")
        client.ask("POST", _UPLOADS)
    with running_hub(tmp_path / "hub") as hub:
        client = Client(hub.address)
        assert client.ask("GET", f"{_REPOSITORY}/blobs/{digest(b'orphan')}").status == 404
        assert client.ask("GET", _HERE).body == _BLOB
        assert client.ask("GET", f"{_REPOSITORY}/manifests/a").body == manifest()
        assert len(list((hub.root / "content" / "blobs" / "sha256").iterdir())) == 3
