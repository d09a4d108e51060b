"""Container records as the API shows them.

The other direction, from a client's JSON to records, is `shapes.creation`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dockerlab.daemon.shapes.isolation import isolation_shape
from dockerlab.daemon.shapes.limits import limits_shape
from dockerlab.daemon.shapes.moment import rfc3339, unix_seconds
from dockerlab.daemon.shapes.network import port_map, ports
from dockerlab.daemon.shapes.networksettings import network_settings, networks
from dockerlab.daemon.shapes.policies import health_check_shape, health_shape, policy_shape
from dockerlab.daemon.shapes.storage import mount_points
from dockerlab.engine.container import Container, ContainerConfig, HostConfig
from dockerlab.engine.health import Health
from dockerlab.units import human_duration

__all__ = ["inspection", "status_text", "summary"]

Json = dict[str, Any]

_DEFAULT_LOG_DRIVER = "json-file"


def summary(
    container: Container,
    *,
    image: str,
    now: datetime,
    sizes: tuple[int, int] | None,
    volume_paths: Mapping[str, str],
    network_ids: Mapping[str, str],
) -> Json:
    """Return one element of ``GET /containers/json`` (Engine API, ContainerSummary).

    Parameters
    ----------
    image : str
        The name the container was made from if it is still that image's, else the image's id.
    sizes : tuple of int, optional
        Bytes of the writable layer, and with the image below it; when the client asked.
    volume_paths : mapping
        The folder of each of its volumes by name.
    network_ids : mapping
        The id of each of its networks by name.
    """
    shape: Json = {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": image,
        "ImageID": container.image_id,
        "Command": _command(container.argv),
        "Created": unix_seconds(container.created_at),
        "Ports": ports(container),
        "Labels": container.config.labels,
        "State": container.state.status,
        "Status": status_text(container, now),
        "HostConfig": {"NetworkMode": container.host.network_mode},
        "NetworkSettings": {"Networks": networks(container, network_ids)},
        "Mounts": mount_points(container.mounts, volume_paths),
    }
    if sizes is not None:
        shape |= {"SizeRw": sizes[0], "SizeRootFs": sizes[1]}
    return shape


def inspection(
    container: Container,
    *,
    log_path: str,
    sizes: tuple[int, int] | None,
    volume_paths: Mapping[str, str],
    network_ids: Mapping[str, str],
    exec_ids: Sequence[str] = (),
) -> Json:
    """Return ``GET /containers/{id}/json`` (Engine API, ContainerInspectResponse)."""
    argv = container.argv
    shape: Json = {
        "Id": container.id,
        "Created": rfc3339(container.created_at),
        "Path": argv[0] if argv else "",
        "Args": list(argv[1:]),
        "State": _state(container),
        "Image": container.image_id,
        "ResolvConfPath": "",
        "HostnamePath": "",
        "HostsPath": "",
        "LogPath": log_path,
        "Name": f"/{container.name}",
        "RestartCount": container.state.restart_count,
        "Driver": "overlay2",
        "Platform": container.platform.partition("/")[0],
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": list(exec_ids) or None,
        "HostConfig": _host_config(container.host),
        "GraphDriver": {"Data": None, "Name": "overlay2"},
        "Mounts": mount_points(container.mounts, volume_paths),
        "Config": _config(container.config),
        "NetworkSettings": network_settings(container, network_ids),
    }
    if sizes is not None:
        shape |= {"SizeRw": sizes[0], "SizeRootFs": sizes[1]}
    return shape


def status_text(container: Container, now: datetime) -> str:
    """Return the sentence in the STATUS column of `docker ps` (moby, container.State.String)."""
    state = container.state
    if state.is_running:
        since = human_duration(max(0.0, (now - state.started_at).total_seconds()))
        if state.status == "restarting":
            return f"Restarting ({state.exit_code}) {_ago(state.finished_at, now)}"
        note = "Paused" if state.status == "paused" else _health_note(state.health)
        return f"Up {since}" + (f" ({note})" if note else "")
    if state.status == "created":
        return "Created"
    if state.status == "removing":
        return "Removal In Progress"
    if state.status == "dead":
        return "Dead"
    return f"Exited ({state.exit_code}) {_ago(state.finished_at, now)}"


def _health_note(health: Health | None) -> str:
    if health is None:
        return ""
    return "health: starting" if health.status == "starting" else health.status


def _ago(moment: datetime, now: datetime) -> str:
    return f"{human_duration(max(0.0, (now - moment).total_seconds()))} ago"


def _command(argv: tuple[str, ...]) -> str:
    return " ".join(f"'{arg}'" if " " in arg and n else arg for n, arg in enumerate(argv))


def _state(container: Container) -> Json:
    state = container.state
    shape: Json = {
        "Status": state.status,
        "Running": state.is_running,
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": state.status == "dead",
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started_at),
        "FinishedAt": rfc3339(state.finished_at),
    }
    if state.health is not None:
        shape["Health"] = health_shape(state.health)
    return shape


def _config(config: ContainerConfig) -> Json:
    shape: Json = {
        "Hostname": config.hostname,
        "Domainname": config.domainname,
        "User": config.user,
        "AttachStdin": config.attach_stdin,
        "AttachStdout": config.attach_stdout,
        "AttachStderr": config.attach_stderr,
        "Tty": config.tty,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.stdin_once,
        "Env": list(config.env),
        "Cmd": config.cmd,
        "Image": config.image,
        "Volumes": {path: {} for path in config.volumes} or None,
        "WorkingDir": config.working_dir,
        "Entrypoint": config.entrypoint,
        "OnBuild": None,
        "Labels": config.labels,
    }
    if config.exposed_ports:
        shape["ExposedPorts"] = {port: {} for port in config.exposed_ports}
    if config.stop_signal:
        shape["StopSignal"] = config.stop_signal
    if config.stop_timeout_s is not None:
        shape["StopTimeout"] = config.stop_timeout_s
    if config.healthcheck is not None:
        shape["Healthcheck"] = health_check_shape(config.healthcheck)
    if config.shell:
        shape["Shell"] = list(config.shell)
    return shape


def _host_config(host: HostConfig) -> Json:
    return {
        **limits_shape(host),
        **isolation_shape(host.isolation),
        **({"Mounts": list(host.mounts)} if host.mounts else {}),
        "DeviceRequests": None,
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "Binds": list(host.binds) or None,
        "ContainerIDFile": "",
        "LogConfig": {"Type": host.log_driver or _DEFAULT_LOG_DRIVER, "Config": host.log_options},
        "NetworkMode": host.network_mode,
        "PortBindings": port_map(host.port_bindings),
        "RestartPolicy": policy_shape(host.restart_policy),
        "AutoRemove": host.auto_remove,
        "VolumeDriver": host.volume_driver,
        "VolumesFrom": list(host.volumes_from) or None,
        "ConsoleSize": list(host.console_size),
        "CapAdd": list(host.cap_add) or None,
        "CapDrop": list(host.cap_drop) or None,
        "Dns": list(host.dns),
        "DnsOptions": list(host.dns_options),
        "DnsSearch": list(host.dns_search),
        "ExtraHosts": list(host.extra_hosts) or None,
        "Cgroup": "",
        "Links": None,
        "OomScoreAdj": host.oom_score_adj,
        "PublishAllPorts": host.publish_all,
        "ReadonlyRootfs": host.readonly_rootfs,
        "SecurityOpt": list(host.security_opt) or None,
        "ShmSize": host.shm_size_bytes,
        "Runtime": host.runtime or "dockerlab",
        "Isolation": "",
    }
