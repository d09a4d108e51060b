"""Docker's filters of `ps` and `images`."""

import pytest

from dockerlab.engine.container import Container, ContainerConfig, ContainerState
from dockerlab.engine.filters import select_containers, select_images, select_networks
from dockerlab.engine.image import Image
from dockerlab.engine.network import EndpointSettings, NetworkId, PortBinding
from dockerlab.errors import InvalidArgument
from dockerlab.oci.digest import digest_of
from tests.unit.engine.records import a_container, a_network, an_image

WEB = a_container(
    1,
    name="web",
    config=ContainerConfig(image="nginx", labels={"tier": "front", "a": "1"}),
    state=ContainerState(status="running"),
    image_id=digest_of(b"nginx"),
    networks=(EndpointSettings(network="none"),),
    ports=(PortBinding(port=80, protocol="tcp", host_address="0.0.0.0", host_port=8080),),
)
DB = a_container(
    2,
    name="db",
    config=ContainerConfig(image="pg", labels={"tier": "back"}, exposed_ports=("5432/tcp",)),
    state=ContainerState(status="exited", exit_code=3),
    networks=(EndpointSettings(network="host"),),
)
ALL = [DB, WEB]


def names(**filters: list[str]) -> list[str]:
    by_name = {c.name: c for c in ALL}
    given = {key.replace("_", "-"): values for key, values in filters.items()}
    found: list[Container] = select_containers(
        ALL,
        given,
        resolve=by_name.__getitem__,
        ancestor_ids=lambda name: frozenset({digest_of(name.encode())}),
    )
    return [c.name for c in found]


def test_no_filter_keeps_all_in_their_order() -> None:
    assert names() == ["db", "web"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"name": ["we"]}, ["web"]),
        ({"name": ["^/web$"]}, ["web"]),
        ({"name": ["web", "db"]}, ["db", "web"]),
        ({"id": ["01"]}, ["web"]),
        ({"label": ["tier"]}, ["db", "web"]),
        ({"label": ["tier=front"]}, ["web"]),
        ({"label": ["tier=front", "a=2"]}, []),
        ({"status": ["exited"]}, ["db"]),
        ({"exited": ["3"]}, ["db"]),
        ({"exited": ["0"]}, []),
        ({"ancestor": ["nginx"]}, ["web"]),
        ({"network": ["host"]}, ["db"]),
        ({"network": ["none"]}, ["web"]),
        ({"before": ["db"]}, ["web"]),
        ({"since": ["web"]}, ["db"]),
        ({"expose": ["5432"]}, ["db"]),
        ({"expose": ["5000-6000/tcp"]}, ["db"]),
        ({"expose": ["5432/udp"]}, []),
        ({"publish": ["80"]}, ["web"]),
        ({"publish": ["81-90"]}, []),
        ({"name": ["web"], "status": ["exited"]}, []),
    ],
)
def test_a_filter_keeps(filters: dict[str, list[str]], expected: list[str]) -> None:
    assert names(**filters) == expected


def test_an_unknown_filter_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidArgument, match=r"invalid filter 'colour': known are .*label"):
        names(colour=["red"])


def test_a_name_that_is_no_pattern_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="invalid filter 'name"):
        names(name=["["])


IMAGES = [
    an_image(3, tags=("127.0.0.1:5000/team/app:2",)),
    an_image(2, labels={"stage": "build"}),
    an_image(1, tags=("busybox:latest", "busybox:1.36")),
]


def sizes(**filters: list[str]) -> list[int]:
    by_tag = {tag: image for image in IMAGES for tag in image.tags}

    def resolve(name: str) -> Image:
        return by_tag[name]

    return [image.size_bytes for image in select_images(IMAGES, filters, resolve=resolve)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"reference": ["busybox"]}, [1]),
        ({"reference": ["busy*:1.*"]}, [1]),
        ({"reference": ["127.0.0.1:5000/team/app"]}, [3]),
        ({"reference": ["*/*"]}, [3]),
        ({"dangling": ["true"]}, [2]),
        ({"dangling": ["0"]}, [3, 1]),
        ({"label": ["stage=build"]}, [2]),
        ({"before": ["127.0.0.1:5000/team/app:2"]}, [2, 1]),
        ({"since": ["busybox:1.36"]}, [3, 2]),
        ({"label!": ["stage=build"]}, [3, 1]),
        ({"until": ["2000-01-01"]}, []),
        ({"until": ["0h"]}, [3, 2, 1]),
    ],
)
def test_an_image_filter_keeps(filters: dict[str, list[str]], expected: list[int]) -> None:
    assert sizes(**filters) == expected


def test_there_is_one_until() -> None:
    with pytest.raises(InvalidArgument, match="more than one until"):
        sizes(until=["1h", "2h"])


def test_dangling_takes_a_boolean() -> None:
    with pytest.raises(InvalidArgument, match="expected true or false"):
        sizes(dangling=["maybe"])


def test_reference_leaves_an_image_the_names_that_fit() -> None:
    image = an_image(tags=("busybox:latest", "shell:mine"))
    (found,) = select_images([image], {"reference": ["shell"]}, resolve=lambda _: image)
    assert found.tags == ("shell:mine",)


NETWORKS = [
    a_network("bridge"),
    a_network("host", driver="host"),
    a_network("mine", labels={"of": "me"}),
    a_network("other"),
]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"name": ["mi", "oth"]}, ["mine", "other"]),
        ({"driver": ["host"]}, ["host"]),
        ({"label": ["of=me"]}, ["mine"]),
        ({"type": ["custom"]}, ["mine", "other"]),
        ({"type": ["builtin"]}, ["bridge", "host"]),
        ({"scope": ["swarm"]}, []),
        ({"dangling": ["true"]}, ["other"]),
        ({"dangling": ["false"]}, ["bridge", "host", "mine"]),
    ],
)
def test_a_network_filter_keeps(filters: dict[str, list[str]], expected: list[str]) -> None:
    used = frozenset({NetworkId(NETWORKS[2].id)})
    assert [n.name for n in select_networks(NETWORKS, filters, used)] == expected


def test_a_type_of_networks_is_one_of_two() -> None:
    with pytest.raises(InvalidArgument, match="builtin or custom"):
        select_networks(NETWORKS, {"type": ["odd"]}, frozenset())
