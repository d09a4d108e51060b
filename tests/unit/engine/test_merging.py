"""A container's config over its image's: dockerd's rules."""

import pytest

from dockerlab.engine.container import ContainerConfig, HealthCheck
from dockerlab.engine.merging import merge
from dockerlab.errors import InvalidArgument
from dockerlab.oci.imageconfig import ImageHealthCheck, RunConfig

IMAGE = RunConfig(
    entrypoint=("/entry",),
    cmd=("serve",),
    env=("A=image", "B=image"),
    user="app",
    working_dir="/srv",
    labels={"x": "image", "y": "image"},
    exposed_ports={"80/tcp": {}},
    stop_signal="SIGQUIT",
)

Words = tuple[str, ...]


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "argv"),
    [
        (None, None, ("/entry", "serve")),
        (None, ("debug",), ("/entry", "debug")),
        (("/own",), None, ("/own",)),
        (("/own",), ("arg",), ("/own", "arg")),
        (("",), ("sh",), ("sh",)),
    ],
)
def test_command_and_entrypoint(entrypoint: Words | None, cmd: Words | None, argv: Words) -> None:
    merged = merge(ContainerConfig(image="i", entrypoint=entrypoint, cmd=cmd), IMAGE)
    assert (*(merged.entrypoint or ()), *(merged.cmd or ())) == argv


def test_what_the_client_does_not_say_comes_from_the_image() -> None:
    merged = merge(ContainerConfig(image="i"), IMAGE)
    assert (merged.user, merged.working_dir, merged.stop_signal) == ("app", "/srv", "SIGQUIT")
    assert merged.exposed_ports == ("80/tcp",)


def test_the_clients_values_win_one_by_one() -> None:
    own = ContainerConfig(image="i", env=("B=own", "C=own"), labels={"y": "own"}, user="root")
    merged = merge(own, IMAGE)
    assert merged.env == ("A=image", "B=own", "C=own")
    assert merged.labels == {"x": "image", "y": "own"}
    assert merged.user == "root"


def test_a_health_check_is_merged_field_by_field() -> None:
    image = RunConfig(
        cmd=("serve",),
        healthcheck=ImageHealthCheck(test=("CMD", "probe"), interval=5, timeout=-1, retries=4),
        shell=("/bin/ash", "-c"),
    )
    merged = merge(ContainerConfig(image="i", healthcheck=HealthCheck(interval_ns=9)), image)
    assert merged.healthcheck == HealthCheck(test=("CMD", "probe"), interval_ns=9, retries=4)
    assert merged.shell == ("/bin/ash", "-c")
    off = merge(ContainerConfig(image="i", healthcheck=HealthCheck(test=("NONE",))), image)
    assert off.healthcheck is not None
    assert off.healthcheck.test == ("NONE",)
    assert merge(ContainerConfig(image="i"), IMAGE).healthcheck is None


def test_without_any_command_there_is_nothing_to_create() -> None:
    with pytest.raises(InvalidArgument, match="no command specified"):
        merge(ContainerConfig(image="i"), RunConfig())
