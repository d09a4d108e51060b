"""The corpus of hostile inputs: a registry's answers for each, and what has to come of it."""

import gzip
import json
from collections.abc import Iterator

from tests.hostile.making import (
    INDEX,
    MANIFEST,
    Case,
    altered,
    answer,
    at,
    bomb,
    config_is,
    document,
    index_loop,
    layer,
    layer_with,
    longer,
    manifest_is,
    manifest_with,
    many,
    only_config,
    packed,
    sparse,
    whiteout,
)
from tests.support.archives import END, header, member, pax
from tests.support.httpserver import Reply

__all__ = ["CASES"]


def _escapes() -> Iterator[Case]:
    out = "leads out of the image"
    yield layer("path `../x`", member(b"../x", b"!"), out)
    yield layer("path `a/../../x`", member(b"a/../../x", b"!"), out)
    yield layer("absolute path", member(b"/etc/hostile", b"!"))
    link = header(b"way", b"2", link=b"/tmp")
    yield layer("file through a link to `/tmp`", link + member(b"way/hostile", b"!"))
    up = header(b"way", b"2", link=b"../../../../tmp")
    yield layer("file through a link that goes up", up + member(b"way/hostile", b"!"))
    loop = header(b"a", b"2", link=b"b") + header(b"b", b"2", link=b"a")
    yield layer("file through links in a circle", loop + member(b"a/x", b"!"), "too many links")
    yield layer("hard link to `../x`", header(b"h", b"1", link=b"../etc/passwd"), out)
    yield layer(
        "hard link to a file of the host",
        header(b"h", b"1", link=b"/etc/passwd"),
        'cannot make "h"',
    )
    yield layer(
        "hard link through a link",
        link + header(b"h", b"1", link=b"way/hostile"),
        'cannot make "h"',
    )
    yield layer("hard link to the root folder", header(b"h", b"1", link=b"/"), "root folder")
    yield layer("file in place of the root folder", member(b"./", b"!"), "root folder")
    yield layer("device node", header(b"sda", b"3", fields={329: b"0000010\0", 337: b"0000000\0"}))
    yield layer("device 0:0, overlayfs's own whiteout", header(b"etc", b"3"))
    yield layer("fifo", header(b"pipe", b"6"))
    setuid = header(b"su", fields={100: b"0004755\0"})
    yield layer("setuid file", setuid)
    for name in (b".wh...", b".wh..", b".wh."):
        yield layer(f"whiteout `{name.decode()}`", whiteout(name), "is not a whiteout")
    yield layer("whiteout through a link", link + whiteout(b"way/.wh.hostile"))
    yield layer("opaque mark through a link", link + whiteout(b"way/.wh..wh..opq"))
    steer = pax({b"SCHILY.xattr.trusted.overlay.redirect": b"/etc"})
    yield layer("attributes that steer overlayfs", steer + header(b"d/", b"5"))


def _archives() -> Iterator[Case]:
    yield layer("a name with a zero byte", pax({b"path": b"a\0b"}) + member(b"x"), "zero byte")
    yield layer("a path of 5,000 bytes", pax({b"path": b"d/" * 2500}) + member(b"x"), "longer than")
    yield layer("an unknown type", header(b"x", b"Z"), "unknown type")
    yield layer("a size beyond the archive", header(b"x", size=1 << 30), "ends early")
    yield layer("a negative size", header(b"x", size=b"\xff" * 12), "impossible size")
    yield layer("a header with a wrong sum", b"\1" + header(b"x")[1:], "wrong checksum")
    long = pax({b"comment": bytes(2 << 20).replace(b"\0", b"x")})
    yield layer("a PAX header of 2 MiB", long + member(b"x"), "extended header is larger")
    chain = b"".join(pax({b"comment": b"x"}) for _ in range(40))
    yield layer("40 PAX headers in a row", chain + member(b"x"), "too many extended headers")
    yield layer("a sparse file of 1 EB", sparse(10**18), "files are larger than")
    yield layer("a sparse file of 6 GB, in 1 kB", sparse(6 * 10**9))
    yield layer("200,000 entries", many(200_000))


def _streams() -> Iterator[Case]:
    content = member(b"x", b"data") + END
    stream = gzip.compress(content, mtime=0)
    yield packed(
        "a file of 2 GiB of zeros in 2 MB",
        "times larger",
        lambda: bomb(2 << 30, header(b"zeros", size=2 << 30)),
    )
    yield packed(
        "2 GiB of zeros behind the archive", "times larger", lambda: bomb(2 << 30, content)
    )
    yield packed("gzip that ends early", "ends early", lambda: stream[:-9], content)
    yield packed(
        "gzip with a wrong sum",
        "gzip stream is damaged",
        lambda: stream[:-8] + bytes(4) + stream[-4:],
        content,
    )
    yield packed(
        "something behind the gzip stream", "behind the end", lambda: stream + b"more", content
    )
    yield packed(
        "zstd that is none",
        "zstd stream is damaged|ends early",
        lambda: b"\x28\xb5\x2f\xfd" + b"\xff" * 100,
    )
    yield packed("no archive at all", "invalid number", lambda: b"hello" * 500)
    yield packed("another diffID than the config's", "its contents are", lambda: stream, b"other")


def _documents() -> Iterator[Case]:
    yield document("manifest that is no JSON", "is not valid", manifest_is(b"{"))
    yield document("manifest of 100,000 brackets", "is not valid", manifest_is(b"[" * 100_000))
    yield document("manifest that is a list", "is not valid", manifest_is(b"[]"))
    yield document("manifest of 5 MB", "larger than 4194304", manifest_is(b" " * 5_000_000))
    yield document("layers and manifests in one", "both layers", manifest_with(manifests=[]))
    yield document(
        "type that contradicts the answer's",
        "calls itself|does not have the fields",
        manifest_with(mediaType=INDEX),
    )
    yield document(
        "501 layers",
        "more than 500",
        lambda i: manifest_with(layers=json.loads(i.manifest)["layers"] * 501)(i),
    )
    yield document(
        "digest with a path in it", "is not valid", layer_with(digest="sha256:../../etc/passwd")
    )
    yield document("digest of another kind", "is not valid", layer_with(digest="md5:" + "0" * 32))
    yield document("negative size", "is not valid", layer_with(size=-1))
    yield document("size that lies, too small", "not 1$|bytes for", layer_with(size=1))
    yield document("size that lies, too large", "bytes for|ended", layer_with(size=1 << 40))
    yield document(
        "foreign layer",
        "foreign layer",
        layer_with(
            mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            urls=["http://127.0.0.1:1/secret"],
        ),
    )
    yield document("layer of an unknown type", "unknown type", layer_with(mediaType="text/html"))
    yield document("indexes without end", "more than 4 indexes", index_loop)
    yield document("config that is no JSON", "config", config_is(b"{"))
    yield document("config of 100,000 brackets", "config", config_is(b'{"a":' + b"[" * 100_000))
    yield document(
        "config with fewer diffIDs than layers",
        "diffIDs",
        config_is(
            b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
        ),
    )
    yield document("config of 9 MB", "is larger than", config_is(b" " * 9_000_000))


def _transports() -> Iterator[Case]:
    old = {"Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws"}
    yield answer(
        "schema 1",
        "schema 1",
        at("/manifests/", lambda *_: Reply(headers=old, body=b'{"schemaVersion":1}')),
    )
    yield answer(
        "manifest of another digest than is claimed",
        "arrived with the digest",
        at(
            "/manifests/",
            lambda i, _: Reply(
                body=i.manifest,
                headers={"Content-Type": MANIFEST, "Docker-Content-Digest": "sha256:" + "0" * 64},
            ),
        ),
    )
    yield answer(
        "endless manifest",
        "larger than 4194304",
        at(
            "/manifests/",
            lambda *_: Reply(
                headers={"Content-Type": MANIFEST, "Content-Length": str(1 << 40)},
                body=b" " * (5 << 20),
                cut_at=5 << 20,
            ),
        ),
    )
    yield answer("layer of other bytes", "arrived with the digest", at("/blobs/", altered))
    yield answer("layer longer than its descriptor", "bytes for|longer than", at("/blobs/", longer))
    yield answer(
        "redirects in a circle",
        "redirects in a circle",
        at("/blobs/", lambda _, a: Reply(status=307, headers={"Location": a.path})),
    )
    yield answer(
        "redirect to a file",
        "which is no address",
        at("/blobs/", lambda *_: Reply(status=307, headers={"Location": "file:///etc/shadow"})),
    )
    for realm in ("http://192.0.2.1/latest/meta-data", "file:///etc/shadow", "http://u:p@h/t"):
        challenge = f'Bearer realm="{realm}",service="x"'
        yield answer(
            f"realm `{realm}`",
            "for a token: refused",
            at("/v2/", lambda *_, c=challenge: Reply(status=401, headers={"WWW-Authenticate": c})),
        )
    yield answer(
        "token that is none",
        "gives no token",
        lambda _, a: (
            Reply(body=b"[]")
            if "/token" in a.path
            else Reply(
                status=401,
                headers={"WWW-Authenticate": f'Bearer realm="http://{a.headers["Host"]}/token"'},
            )
        ),
    )
    yield answer(
        "wait for an hour",
        "try again in 3600 s",
        at("/manifests/", lambda *_: Reply(status=429, headers={"Retry-After": "3600"})),
    )
    yield answer(
        "error text of 1 MB",
        "received unexpected|does not have|refuses",
        at("/manifests/", lambda *_: Reply(status=400, body=b"x" * (1 << 20))),
    )
    yield answer("missing layer", "does not have all", at("/blobs/", only_config))


CASES = (*_escapes(), *_archives(), *_streams(), *_documents(), *_transports())
