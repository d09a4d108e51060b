"""Records for the tests of the engine."""

from datetime import UTC, datetime, timedelta

from dockerlab.engine.container import (
    Container,
    ContainerConfig,
    ContainerId,
    ContainerState,
    HostConfig,
)
from dockerlab.engine.image import Image
from dockerlab.engine.network import (
    EndpointSettings,
    IpamSubnet,
    Network,
    NetworkDriver,
    NetworkId,
    PortBinding,
)
from dockerlab.oci.digest import Digest, digest_of
from dockerlab.oci.imageconfig import ImageConfig

START = datetime(2026, 1, 1, tzinfo=UTC)


def a_container(
    number: int = 1,
    *,
    name: str = "",
    config: ContainerConfig | None = None,
    host: HostConfig | None = None,
    state: ContainerState | None = None,
    image_id: Digest | None = None,
    layers: tuple[Digest, ...] = (),
    networks: tuple[EndpointSettings, ...] = (),
    ports: tuple[PortBinding, ...] = (),
) -> Container:
    """Return a container that was created `number` minutes after `START`."""
    return Container(
        id=ContainerId(f"{number:02x}" * 32),
        name=name or f"container_{number}",
        image_id=image_id or digest_of(b"image"),
        created_at=START + timedelta(minutes=number),
        config=config or ContainerConfig(image="busybox", cmd=("sh",)),
        host=host or HostConfig(),
        state=state or ContainerState(),
        layers=layers,
        networks=networks,
        ports=ports,
    )


def a_network(
    name: str = "mine",
    *,
    driver: NetworkDriver = "bridge",
    labels: dict[str, str] | None = None,
    subnets: tuple[IpamSubnet, ...] = (),
    options: dict[str, str] | None = None,
    is_internal: bool = False,
) -> Network:
    """Return a network that was made at `START`."""
    return Network(
        id=NetworkId(digest_of(name.encode()).partition(":")[2]),
        name=name,
        driver=driver,
        created_at=START,
        labels=labels or {},
        subnets=subnets,
        options=options or {},
        is_internal=is_internal,
    )


def an_image(
    number: int = 1, *, tags: tuple[str, ...] = (), labels: dict[str, str] | None = None
) -> Image:
    """Return an image that was created `number` minutes after `START`."""
    return Image(
        id=digest_of(b"image %d" % number),
        created_at=START + timedelta(minutes=number),
        tags=tags,
        digests=(),
        size_bytes=number,
        config=ImageConfig(),
        manifest=digest_of(b"manifest"),
        labels=labels or {},
    )
