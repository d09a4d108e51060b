"""What a container is made of: the client's config over the image's. Pure functions.

The rules are dockerd's when it creates a container (Engine API, /containers/create).
"""

import msgspec

from dockerlab.engine.container import ContainerConfig, HealthCheck
from dockerlab.engine.image import Image
from dockerlab.errors import InvalidArgument, NotFound
from dockerlab.oci.imageconfig import ImageHealthCheck, RunConfig
from dockerlab.oci.platform import Platform, parse_platform

__all__ = ["check_platform", "merge"]


def merge(config: ContainerConfig, image: RunConfig) -> ContainerConfig:
    """Fill in from the image what the client did not say.

    An entrypoint of the client's own drops the image's command; ``[""]`` drops the entrypoint.

    Raises
    ------
    InvalidArgument
        Neither has a command.
    """
    entrypoint, cmd = config.entrypoint, config.cmd
    if not entrypoint:
        cmd = cmd or image.cmd
        entrypoint = image.entrypoint if entrypoint is None else entrypoint
    if entrypoint == ("",):
        entrypoint = None
    if not entrypoint and not cmd:
        raise InvalidArgument("no command specified")
    return msgspec.structs.replace(
        config,
        entrypoint=entrypoint,
        cmd=cmd,
        env=_merge_env(image.env or (), config.env),
        user=config.user or image.user or "",
        working_dir=config.working_dir or image.working_dir or "",
        labels={**(image.labels or {}), **config.labels},
        exposed_ports=tuple(sorted({*(image.exposed_ports or {}), *config.exposed_ports})),
        volumes=tuple(sorted({*(image.volumes or {}), *config.volumes})),
        stop_signal=config.stop_signal or image.stop_signal or "",
        healthcheck=_merge_health(config.healthcheck, image.healthcheck),
        shell=config.shell or image.shell or (),
    )


def _merge_health(own: HealthCheck | None, image: ImageHealthCheck | None) -> HealthCheck | None:
    """Fill in field by field; an image's that cannot be right counts as none."""
    if image is None:
        return own
    own = own or HealthCheck()
    return HealthCheck(
        test=own.test or image.test or (),
        interval_ns=own.interval_ns or max(0, image.interval or 0),
        timeout_ns=own.timeout_ns or max(0, image.timeout or 0),
        start_period_ns=own.start_period_ns or max(0, image.start_period or 0),
        start_interval_ns=own.start_interval_ns or max(0, image.start_interval or 0),
        retries=own.retries or max(0, image.retries or 0),
    )


def check_platform(image: Image, name: str, platform: str) -> None:
    """Raise NotFound when the image is not for `platform`; '' takes any."""
    if not platform:
        return
    wanted = parse_platform(platform)
    has = Platform(os=image.config.os, architecture=image.config.architecture)
    if wanted.architecture != has.architecture:
        raise NotFound(
            f"image with reference {name} was found but its platform ({has}) does not match the "
            f"specified platform ({wanted})"
        )


def _merge_env(image: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    names = {entry.partition("=")[0] for entry in own}
    inherited = [entry for entry in image if entry.partition("=")[0] not in names]
    # "NAME" without "=" takes the image's entry away; a client has already resolved its own.
    return (*inherited, *(entry for entry in own if "=" in entry))
