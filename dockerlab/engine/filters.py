"""Docker's filters of `ps` and `images`: keys that select records. Pure functions.

Engine API, /containers/json and /images/json, "filters".
"""

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from dockerlab.engine.container import Container
from dockerlab.engine.image import Image
from dockerlab.engine.network import Network, NetworkId
from dockerlab.engine.volume import DRIVER, Volume
from dockerlab.errors import InvalidArgument
from dockerlab.oci.digest import Digest
from dockerlab.units import parse_moment

__all__ = ["select_containers", "select_images", "select_networks", "select_volumes"]

Filters = Mapping[str, Sequence[str]]
_Test = Callable[[Container, str], bool]


def select_containers(
    containers: Sequence[Container],
    filters: Filters,
    *,
    resolve: Callable[[str], Container],
    ancestor_ids: Callable[[str], frozenset[Digest]],
) -> list[Container]:
    """Return the containers that every filter admits, in their order.

    Parameters
    ----------
    resolve : callable
        Name -> container, for ``before`` and ``since``; raises ContainerNotFound.
    ancestor_ids : callable
        Image name -> ids of the images that it means, for ``ancestor``.
    """
    tests: dict[str, _Test] = {
        "id": lambda c, v: c.id.startswith(v),
        "name": lambda c, v: (
            re.search(v, "/" + c.name) is not None or re.search(v, c.name) is not None
        ),
        "label": lambda c, v: _has_label(c.config.labels, v),
        "label!": lambda c, v: not _has_label(c.config.labels, v),
        "status": lambda c, v: c.state.status == v,
        "exited": lambda c, v: c.state.status == "exited" and str(c.state.exit_code) == v,
        "ancestor": lambda c, v: c.image_id in ancestor_ids(v),
        "network": _is_on,
        "before": lambda c, v: c.created_at < resolve(v).created_at,
        "since": lambda c, v: c.created_at > resolve(v).created_at,
        "is-task": lambda _, v: v.lower() in ("false", "0"),
        "health": lambda c, v: v == (c.state.health.status if c.state.health else "none"),
        "volume": lambda c, v: any(v in (m.source, m.destination) for m in c.mounts),
        "publish": lambda c, v: any(_is_port(f"{p.port}/{p.protocol}", v) for p in c.ports),
        "expose": lambda c, v: any(_is_port(p, v) for p in c.config.exposed_ports),
    }
    _check(filters, tests)
    try:
        return [
            c for c in containers if all(_admits(tests[k], c, k, v) for k, v in filters.items())
        ]
    except re.error as exc:
        raise InvalidArgument(f"invalid filter 'name={filters['name'][0]}': {exc}") from exc


def _is_on(container: Container, wanted: str) -> bool:
    names = (settings.network for settings in container.networks)
    return wanted in names or any(place.network_id == wanted for place in container.endpoints)


def _is_port(port: str, wanted: str) -> bool:
    """Tell whether ``80/tcp`` is what ``80``, ``80/tcp`` or ``79-81/tcp`` means."""
    number, _, protocol = port.partition("/")
    numbers, _, wanted_protocol = wanted.partition("/")
    first, _, last = numbers.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal()):
        raise InvalidArgument(f'invalid filter: "{wanted}" is no port, as 80/tcp or 80-90/udp is')
    is_within = int(first) <= int(number) <= int(last or first)
    return is_within and (wanted_protocol or "tcp") == protocol


def select_networks(
    networks: Sequence[Network], filters: Filters, used: frozenset[NetworkId]
) -> list[Network]:
    """Return the networks that every filter admits, in their order.

    Parameters
    ----------
    used : frozenset of NetworkId
        Those with a running container.
    """
    tests: dict[str, Callable[[Network, str], bool]] = {
        "name": lambda n, v: v in n.name,
        "id": lambda n, v: v in n.id,
        "driver": lambda n, v: n.driver == v,
        "scope": lambda _, v: v == "local",
        "type": _is_type,
        "label": lambda n, v: _has_label(n.labels, v),
        "dangling": lambda n, v: (
            (n.id not in used and not n.is_predefined) == _boolean("dangling", v)
        ),
    }
    _check(filters, tests)
    return [
        network
        for network in networks
        if all(
            (all if key == "label" else any)(tests[key](network, value) for value in values)
            for key, values in filters.items()
        )
    ]


def _is_type(network: Network, wanted: str) -> bool:
    if wanted not in ("builtin", "custom"):
        raise InvalidArgument(f"invalid filter 'type={wanted}': expected builtin or custom")
    return network.is_predefined == (wanted == "builtin")


def select_images(
    images: Sequence[Image], filters: Filters, *, resolve: Callable[[str], Image]
) -> list[Image]:
    """Return the images that every filter admits, in their order."""
    tests: dict[str, Callable[[Image, str], bool]] = {
        "reference": lambda i, v: any(_fits(tag, v) for tag in (*i.tags, *i.digests)),
        "dangling": lambda i, v: (not i.tags) == _boolean("dangling", v),
        "label": lambda i, v: _has_label(i.labels, v),
        "label!": lambda i, v: not _has_label(i.labels, v),
        "until": lambda i, v: i.created_at < parse_moment(v, datetime.now(UTC)),
        "before": lambda i, v: i.created_at < resolve(v).created_at,
        "since": lambda i, v: i.created_at > resolve(v).created_at,
    }
    _check(filters, tests)
    if len(filters.get("until", ())) > 1:
        raise InvalidArgument("more than one until filter specified")
    return [
        _narrowed(image, filters.get("reference", ()))
        for image in images
        if all(
            (all if key.startswith("label") else any)(tests[key](image, value) for value in values)
            for key, values in filters.items()
        )
    ]


def select_volumes(
    volumes: Sequence[Volume], filters: Filters, *, users: Callable[[str], Sequence[str]]
) -> list[Volume]:
    """Return the volumes that every filter admits, in their order.

    Parameters
    ----------
    users : callable
        Name of a volume -> ids of the containers that have it.
    """
    tests: dict[str, Callable[[Volume, str], bool]] = {
        "name": lambda volume, wanted: wanted in volume.name,
        "driver": lambda _, wanted: wanted == DRIVER,
        "label": lambda volume, wanted: _has_label(volume.labels, wanted),
        "label!": lambda volume, wanted: not _has_label(volume.labels, wanted),
        "dangling": lambda volume, wanted: (not users(volume.name)) == _boolean("dangling", wanted),
    }
    _check(filters, tests)
    return [
        volume
        for volume in volumes
        if all(
            (all if key.startswith("label") else any)(tests[key](volume, value) for value in values)
            for key, values in filters.items()
        )
    ]


def _narrowed(image: Image, patterns: Sequence[str]) -> Image:
    """Leave an image the names that were asked for, as `docker images NAME` shows no others."""
    if not patterns:
        return image

    def fitting(names: Sequence[str]) -> tuple[str, ...]:
        """Return the names that any pattern admits."""
        return tuple(name for name in names if any(_fits(name, pattern) for pattern in patterns))

    return msgspec.structs.replace(image, tags=fitting(image.tags), digests=fitting(image.digests))


def _admits(test: _Test, container: Container, key: str, values: Sequence[str]) -> bool:
    # Labels must all be there, or all be absent; of every other key one value is enough.
    return (all if key in ("label", "label!") else any)(test(container, value) for value in values)


def _check(filters: Filters, tests: Mapping[str, object]) -> None:
    for key in filters:
        if key not in tests:
            raise InvalidArgument(f"invalid filter '{key}': known are {', '.join(sorted(tests))}")


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _fits(reference: str, pattern: str) -> bool:
    name = reference.partition("@")[0]
    repository, _, tag = name.rpartition(":")
    if "/" in tag or not repository:
        repository = name
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(repository, pattern)


def _boolean(key: str, text: str) -> bool:
    if text.lower() not in ("true", "1", "false", "0"):
        raise InvalidArgument(f"invalid filter '{key}={text}': expected true or false")
    return text.lower() in ("true", "1")
