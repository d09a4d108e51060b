"""Image records as the API shows them."""

from typing import Any

import msgspec

from dockerlab.daemon.shapes.moment import rfc3339, unix_seconds
from dockerlab.engine.image import Image, ImageHistory, ImageRemoval, PullProgress
from dockerlab.oci.imageconfig import RunConfig
from dockerlab.units import human_size

__all__ = ["history_line", "inspection", "progress_line", "removal", "summary"]

Json = dict[str, Any]


def summary(image: Image, *, container_count: int, shared_bytes: int = -1) -> Json:
    """Return one element of ``GET /images/json`` (Engine API, ImageSummary).

    Parameters
    ----------
    container_count, shared_bytes : int
        -1 where it was not counted.
    """
    return {
        "Id": image.id,
        "ParentId": image.parent,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Created": unix_seconds(image.created_at),
        "Size": image.size_bytes,
        "SharedSize": shared_bytes,
        "Labels": image.labels or None,
        "Containers": container_count,
    }


def inspection(image: Image) -> Json:
    """Return ``GET /images/{name}/json`` (Engine API, ImageInspect)."""
    config = image.config
    shape: Json = {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Parent": image.parent,
        "Comment": (config.history[-1].comment or "") if config.history else "",
        "Created": rfc3339(image.created_at),
        "DockerVersion": config.docker_version or "",
        "Author": config.author or "",
        "Config": _run_config(config.config or RunConfig(), image.labels),
        "Architecture": config.architecture,
        "Os": config.os,
        "Size": image.size_bytes,
        "GraphDriver": {"Data": None, "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": list(config.rootfs.diff_ids)},
        "Metadata": {"LastTagTime": rfc3339(image.pulled_at or image.created_at)},
        "Descriptor": None,
    }
    if config.variant:
        shape["Variant"] = config.variant
    return shape


def history_line(line: ImageHistory) -> Json:
    """Return one element of ``GET /images/{name}/history``."""
    return {
        "Id": line.id or "<missing>",
        "Created": unix_seconds(line.created_at),
        "CreatedBy": line.created_by,
        "Tags": list(line.tags) or None,
        "Size": line.size_bytes,
        "Comment": line.comment,
    }


def removal(line: ImageRemoval) -> Json:
    """Return one element of the answer to ``DELETE /images/{name}``."""
    return {"Untagged" if line.action == "untagged" else "Deleted": line.what}


def progress_line(progress: PullProgress) -> Json:
    """Return one line of a pull (Engine API, CreateImageInfo; moby, jsonmessage.JSONMessage)."""
    if progress.aux is not None:
        return {"progressDetail": {}, "aux": progress.aux}
    shape: Json = {"status": progress.status}
    if progress.current is not None:
        detail = {"current": progress.current}
        if progress.total:
            detail["total"] = progress.total
        shape["progressDetail"] = detail
        shape["progress"] = _bar(progress.current, progress.total)
    elif progress.id:
        shape["progressDetail"] = {}
    if progress.id:
        shape["id"] = progress.id
    return shape


def _bar(current: int, total: int | None) -> str:
    if not total:
        return human_size(current)
    percent = min(100, current * 100 // total) // 2
    bar = "=" * percent + ">" + " " * (50 - percent)
    return f"[{bar[:51]}] {human_size(current)}/{human_size(total)}"


def _run_config(config: RunConfig, labels: dict[str, str]) -> Json:
    shape: Json = {
        "Hostname": "",
        "Domainname": "",
        "User": "",
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": None,
        "Cmd": None,
        "Image": "",
        "Volumes": None,
        "WorkingDir": "",
        "Entrypoint": None,
        "OnBuild": None,
    }
    shape.update(msgspec.to_builtins(config), Labels=labels or None)
    return shape
