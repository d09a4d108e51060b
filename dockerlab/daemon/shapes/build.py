"""The parameters of ``POST /build`` as a record (Engine API, ImageBuild)."""

from typing import Any, TypeVar

import msgspec

from dockerlab.daemon.query import Query
from dockerlab.daemon.shapes.hostconfig import host_config, unsupported
from dockerlab.daemon.shapes.registry import credential, decode_header
from dockerlab.engine.build import BuildRequest
from dockerlab.errors import InvalidArgument, Unsupported

__all__ = ["build_request"]

_T = TypeVar("_T")

_LIMITS = {
    "memory": "Memory",
    "memswap": "MemorySwap",
    "cpushares": "CpuShares",
    "cpuperiod": "CpuPeriod",
    "cpuquota": "CpuQuota",
    "shmsize": "ShmSize",
}
_TEXTS = {"cpusetcpus": "CpusetCpus", "cpusetmems": "CpusetMems", "networkmode": "NetworkMode"}


def build_request(query: Query, registry_config: str) -> BuildRequest:
    """Return what a client asks for.

    Parameters
    ----------
    registry_config : str
        The header ``X-Registry-Config``: base64url of credentials by registry.

    Raises
    ------
    InvalidArgument
        A value that cannot be right.
    Unsupported
        BuildKit, contexts that the engine would have to fetch, and options that it does not do.
    """
    _refuse(query)
    credentials = decode_header("X-Registry-Config", registry_config)
    return BuildRequest(
        dockerfile=query.text("dockerfile") or "Dockerfile",
        tags=tuple(tag for tag in query.texts("t") if tag),
        build_args=_json(query, "buildargs", dict[str, str | None]) or {},
        labels=_json(query, "labels", dict[str, str]) or {},
        target=query.text("target"),
        cache_from=tuple(_json(query, "cachefrom", list[str]) or ()),
        no_cache=query.boolean("nocache"),
        pull=query.boolean("pull"),
        removes=query.boolean("rm", default=True),
        always_removes=query.boolean("forcerm"),
        platform=query.text("platform"),
        host=host_config(_host(query), is_networkless=False),
        credentials={
            server: credential(members)
            for server, members in credentials.items()
            if isinstance(members, dict)
        },
    )


def _refuse(query: Query) -> None:
    if query.text("version") == "2" or query.text("session"):
        raise Unsupported(
            "BuildKit is not supported: build with the classic builder, DOCKER_BUILDKIT=0"
        )
    if query.text("remote"):
        raise Unsupported(
            "contexts from Git or from an address are not supported: fetch it, and send the folder"
        )
    if query.boolean("squash"):
        raise unsupported("--squash")
    if query.text("outputs"):
        raise unsupported("--output")


def _host(query: Query) -> dict[str, Any]:
    """Return what containers of RUN get, as a client's HostConfig."""
    raw: dict[str, Any] = {}
    for name, key in _LIMITS.items():
        number = query.number(name)
        if number:
            raw[key] = number
    for name, key in _TEXTS.items():
        if text := query.text(name):
            raw[key] = text
    raw["CgroupParent"] = query.text("cgroupparent")
    raw["Isolation"] = query.text("isolation")
    raw["ExtraHosts"] = [host for host in query.texts("extrahosts") if host]
    raw["Ulimits"] = _json(query, "ulimits", list[dict[str, Any]]) or []
    raw["SecurityOpt"] = _json(query, "securityopt", list[str]) or []
    return raw


def _json(query: Query, name: str, kind: type[_T]) -> _T | None:
    text = query.text(name)
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=kind | None)
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise InvalidArgument(f'invalid value for "{name}": {exc}') from exc
