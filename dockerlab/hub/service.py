"""``dockerlab hub serve``: a registry with push, and a mirror of another one, as a process.

Beyond loopback it wants a token, or to be read-only; everything else is in the modules that it
joins.
"""

import argparse
import asyncio
import json
import logging
import signal
import ssl
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from dockerlab.errors import DockerlabError, InvalidArgument
from dockerlab.hub.handlers import Blobs, Catalog, Hub, Manifests, StoreHandler, Tags, Version
from dockerlab.hub.server import NAME, PlainServer
from dockerlab.hub.store import MAX_BLOB_BYTES, HubStore
from dockerlab.hub.uploads import BeginUpload, ContinueUpload, Referrers
from dockerlab.hub.upstream import Upstream
from dockerlab.image.registry.credential import Credential
from dockerlab.image.registry.mirrors import RegistrySettings, is_loopback
from dockerlab.oci.manifest import MAX_MANIFEST_BYTES
from dockerlab.oci.reference import parse_registry

__all__ = ["main", "make_hub_app"]

USER_VARIABLE, PASSWORD_VARIABLE = "DOCKERLAB_UPSTREAM_USER", "DOCKERLAB_UPSTREAM_PASSWORD"

_log = logging.getLogger("dockerlab.hub")

_DEFAULT_PORT = 5050
_DEFAULT_CACHE_BYTES = 20 << 30
_DEFAULT_TAG_AGE_S = 60.0
_LEAST_TOKEN = 16
_SUFFIXES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def make_hub_app(hub: Hub) -> Application:
    """Return the application that serves a hub."""
    given = {"hub": hub}
    return Application(
        [
            (r"/v2/?", Version, given),
            (r"/v2/_catalog", Catalog, given),
            (rf"/v2/{NAME}/tags/list", Tags, given),
            (rf"/v2/{NAME}/manifests/(?P<reference>[^/]+)", Manifests, given),
            (rf"/v2/{NAME}/blobs/uploads/?", BeginUpload, given),
            (rf"/v2/{NAME}/blobs/uploads/(?P<upload>[0-9a-f]{{32}})", ContinueUpload, given),
            (rf"/v2/{NAME}/blobs/(?P<digest>[^/]+)", Blobs, given),
            (rf"/v2/{NAME}/referrers/(?P<digest>[^/]+)", Referrers, given),
        ],
        default_handler_class=StoreHandler,
        default_handler_args=given,
        log_function=_log_request,
    )


def main(arguments: Sequence[str], environ: Mapping[str, str], default_root: Path) -> int:
    """Serve until SIGINT or SIGTERM; one line of JSON says where, as soon as that is.

    Parameters
    ----------
    arguments : sequence of str
        The command line behind ``hub serve``.
    environ : mapping
        Where the upstream's credentials are.
    default_root : Path
        The folder, where ``--root`` does not say.

    Returns
    -------
    int
        0 after an orderly end, 1 when it could not begin.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        token = _token(options)
        credential = _credential(environ)
        _check(options, token, credential)
        asyncio.run(_serve(options, token, credential, options.root or default_root))
    except (DockerlabError, OSError, ssl.SSLError) as exc:
        hint = f"; {exc.hint}" if isinstance(exc, DockerlabError) and exc.hint else ""
        sys.stderr.write(f"cannot serve a hub: {exc}{hint}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dockerlab hub serve", description="Serve a registry, and mirror another one."
    )
    parser.add_argument("--root", type=Path, help="where its images are kept")
    parser.add_argument(
        "--listen", default="127.0.0.1", metavar="ADDRESS", help="loopback by default"
    )
    parser.add_argument(
        "--port", type=int, default=_DEFAULT_PORT, help=f"{_DEFAULT_PORT}; 0 takes a free one"
    )
    parser.add_argument("--read-only", action="store_true", help="nobody may push or delete")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="what clients have to show as password"
    )
    parser.add_argument("--tls-certificate", type=Path, metavar="FILE")
    parser.add_argument("--tls-key", type=Path, metavar="FILE")
    parser.add_argument(
        "--mirror-of", metavar="REGISTRY", help="what is not here is fetched there, and kept"
    )
    parser.add_argument(
        "--insecure-upstream", action="store_true", help="it has no TLS, or no valid certificate"
    )
    parser.add_argument(
        "--cache-size", type=_size, default=_DEFAULT_CACHE_BYTES, help="of what is kept: 20g"
    )
    parser.add_argument(
        "--tag-age",
        type=float,
        default=_DEFAULT_TAG_AGE_S,
        metavar="SECONDS",
        help=f"how long a tag is not asked for again: {_DEFAULT_TAG_AGE_S:g}",
    )
    parser.add_argument(
        "--max-blob-size", type=_size, default=MAX_BLOB_BYTES, help="of what is pushed: 20g"
    )
    return parser


def _size(text: str) -> int:
    number, suffix = text.lower().removesuffix("b"), ""
    if number[-1:] in _SUFFIXES:
        number, suffix = number[:-1], number[-1]
    if not number.isdecimal():
        raise argparse.ArgumentTypeError(f'"{text}" is no size, as 500m or 20g')
    return int(number) * _SUFFIXES[suffix]


def _token(options: argparse.Namespace) -> str:
    if options.token_file is None:
        return ""
    token: str = options.token_file.read_text().strip()
    if len(token) < _LEAST_TOKEN or not token.isascii():
        raise InvalidArgument(
            f"the token in {options.token_file} is shorter than {_LEAST_TOKEN} characters",
            "make one with: openssl rand -hex 32",
        )
    return token


def _credential(environ: Mapping[str, str]) -> Credential | None:
    user = environ.get(USER_VARIABLE, "")
    return Credential(username=user, password=environ.get(PASSWORD_VARIABLE, "")) if user else None


def _check(options: argparse.Namespace, token: str, credential: Credential | None) -> None:
    """Refuse to be open to others by mistake."""
    if (options.tls_certificate is None) != (options.tls_key is None):
        raise InvalidArgument("--tls-certificate and --tls-key go together")
    if is_loopback(options.listen) or token:
        return
    if not options.read_only:
        raise InvalidArgument(
            f'whoever reaches "{options.listen}" could push to this hub',
            "give it --token-file or --read-only",
        )
    if credential is not None:
        raise InvalidArgument(
            f'whoever reaches "{options.listen}" could pull what only {USER_VARIABLE} may',
            "give it --token-file",
        )


async def _serve(
    options: argparse.Namespace, token: str, credential: Credential | None, root: Path
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    store = HubStore(root, max_blob_bytes=options.max_blob_size)
    upstream = _upstream(options, credential, store)
    hub = Hub(
        store=store,
        upstream=upstream,
        token=token,
        is_read_only=options.read_only,
        has_catalog=bool(token) or is_loopback(options.listen),
    )
    server = _server(make_hub_app(hub), options)
    try:
        listening = bind_sockets(options.port, address=options.listen)
        for sock in listening:
            server.add_socket(sock)
        port = listening[0].getsockname()[1]
        facts = {"address": f"{options.listen}:{port}", "root": str(root)}
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        server.stop()
        if upstream is not None:
            await upstream.close()
        await server.close_all_connections()
        store.close()


def _upstream(
    options: argparse.Namespace, credential: Credential | None, store: HubStore
) -> Upstream | None:
    if not options.mirror_of:
        return None
    registry = parse_registry(options.mirror_of)
    is_insecure = options.insecure_upstream or urlsplit(options.mirror_of).scheme == "http"
    settings = RegistrySettings(insecure_registries=(registry,) if is_insecure else ())
    return Upstream(
        store,
        registry,
        settings,
        credential=credential,
        cache_bytes=options.cache_size,
        tag_age_s=options.tag_age,
    )


def _server(app: Application, options: argparse.Namespace) -> HTTPServer:
    if options.tls_certificate is None:
        return PlainServer(app, max_body_size=MAX_MANIFEST_BYTES)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.tls_certificate, options.tls_key)
    return HTTPServer(app, max_body_size=MAX_MANIFEST_BYTES, ssl_options=context)


def _log_request(handler: RequestHandler) -> None:
    """Write one line a request: never its headers, for they hold tokens."""
    request = handler.request
    took_ms = 1000 * request.request_time()
    status = handler.get_status()
    _log.info(
        "%s %s %s %d %.0f ms", request.remote_ip, request.method, request.path, status, took_ms
    )
