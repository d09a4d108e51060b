"""The record of a container: its config, its state, and nothing that acts.

`daemon.shapes.container` translates between these records and the API's JSON.
"""

from datetime import UTC, datetime
from typing import Any, Literal, NewType

import msgspec

from dockerlab.engine.health import Health
from dockerlab.engine.isolation import Isolation
from dockerlab.engine.mount import Mount
from dockerlab.engine.network import Endpoint, EndpointSettings, PortBinding
from dockerlab.oci.digest import Digest

__all__ = [
    "NEVER",
    "Container",
    "ContainerConfig",
    "ContainerId",
    "ContainerState",
    "DeviceLimit",
    "HealthCheck",
    "HostConfig",
    "RestartName",
    "RestartPolicy",
    "Status",
]

ContainerId = NewType("ContainerId", str)

RestartName = Literal["no", "always", "unless-stopped", "on-failure"]

Status = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]

# Docker's zero time: what has not happened yet.
NEVER = datetime(1, 1, 1, tzinfo=UTC)


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How to find out whether the program does its work; 0 and () mean "as the image says".

    `test` begins with ``CMD``, ``CMD-SHELL`` or ``NONE`` (Engine API, HealthConfig).
    """

    test: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


class RestartPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When to start a container again that has ended; `maximum_retry_count` 0 is no limit."""

    name: RestartName = "no"
    maximum_retry_count: int = 0


class ContainerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the program sees; the part that the image has defaults for.

    `cmd` and `entrypoint` are None when the client did not say; a merged config has them filled in.
    """

    image: str
    hostname: str = ""
    domainname: str = ""
    user: str = ""
    env: tuple[str, ...] = ()
    cmd: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    working_dir: str = ""
    labels: dict[str, str] = {}
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    stop_signal: str = ""
    stop_timeout_s: int | None = None
    healthcheck: HealthCheck | None = None
    shell: tuple[str, ...] = ()


class DeviceLimit(msgspec.Struct, frozen=True):
    """A share of a disk, or its bytes or operations a second; `path` is its device on the host."""

    path: str
    value: int


class HostConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the host gives: isolation and limits. 0 means no limit, as in Docker's API."""

    network_mode: str = "default"
    auto_remove: bool = False
    readonly_rootfs: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    memory_bytes: int = 0
    memory_swap_bytes: int = 0
    memory_reservation_bytes: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpu_period_us: int = 0
    cpu_quota_us: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int = 0
    blkio_weight: int = 0
    blkio_weight_device: tuple[DeviceLimit, ...] = ()
    blkio_device_read_bps: tuple[DeviceLimit, ...] = ()
    blkio_device_write_bps: tuple[DeviceLimit, ...] = ()
    blkio_device_read_iops: tuple[DeviceLimit, ...] = ()
    blkio_device_write_iops: tuple[DeviceLimit, ...] = ()
    shm_size_bytes: int = 64 << 20
    oom_score_adj: int = 0
    log_driver: str = "json-file"
    log_options: dict[str, str] = {}
    runtime: str = ""
    restart_policy: RestartPolicy = RestartPolicy()
    console_size: tuple[int, int] = (0, 0)
    isolation: Isolation = Isolation()
    # What a client wrote, for `docker inspect`; `requested` is what it means.
    binds: tuple[str, ...] = ()
    mounts: tuple[dict[str, Any], ...] = ()
    volumes_from: tuple[str, ...] = ()
    volume_driver: str = ""
    requested: tuple[Mount, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    port_bindings: tuple[PortBinding, ...] = ()
    publish_all: bool = False


class ContainerState(msgspec.Struct, frozen=True, kw_only=True):
    """Where the container is in its life.

    `pid` is the host's number of its PID 1, 0 when none, and means nothing after the boot that
    `boot_id` names. `restart_count` counts what its policy did since somebody started it;
    `is_stopped_by_user` tells an end that was asked for from one of its own.
    """

    status: Status = "created"
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: datetime = NEVER
    finished_at: datetime = NEVER
    boot_id: str = ""
    restart_count: int = 0
    is_stopped_by_user: bool = False
    health: Health | None = None

    @property
    def is_running(self) -> bool:
        """Docker's `Running`: a paused or restarting container counts."""
        return self.status in ("running", "paused", "restarting")


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """One container. `config` is merged with the image's; `name` has no leading slash.

    `networks` are those it is to be on; `endpoints` and `ports` are what it has while it runs.
    Change is `msgspec.structs.replace`; the keeper is `engine.containers`.
    """

    id: ContainerId
    name: str
    image_id: Digest
    created_at: datetime
    config: ContainerConfig
    host: HostConfig
    state: ContainerState = ContainerState()
    layers: tuple[Digest, ...] = ()
    platform: str = "linux"
    mounts: tuple[Mount, ...] = ()
    networks: tuple[EndpointSettings, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[PortBinding, ...] = ()

    @property
    def argv(self) -> tuple[str, ...]:
        """Entrypoint and command as they are executed."""
        return (*(self.config.entrypoint or ()), *(self.config.cmd or ()))
