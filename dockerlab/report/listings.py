"""The Docker API's lists as tables: images, containers, history, volumes, changes, engines.

The input is the JSON as any Docker-compatible engine sends it; the dtypes are set column by column,
so that an empty list gives the same table without rows.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from dockerlab.client.engines import EngineState
from dockerlab.report.tables import Table

__all__ = [
    "change_table",
    "container_table",
    "engine_table",
    "history_table",
    "image_table",
    "volume_table",
]

# The seven states of a container (Engine API 1.44, ContainerState.Status).
STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
# What `docker diff` calls C, A and D: the numbers of Engine API 1.44, ChangeType.
CHANGES = ("changed", "added", "deleted")

_EXIT_CODE = re.compile(r"Exited \((\d+)\)")
_TIME = "datetime64[us, UTC]"
# Go's zero time: what the engine does not know.
_UNKNOWN_S = -62135596800
_NONE = "<none>"

Json = Mapping[str, Any]


def image_table(images: Iterable[Json], *, with_digests: bool = False) -> Table:
    """Return one row for each reference of each image, as `docker images` does.

    Parameters
    ----------
    images : iterable of mapping
        `GET /images/json`.
    with_digests : bool
        Add the column `digest`, the repository's digest.
    """
    rows = [row for image in images for row in _image_rows(image)]
    columns: dict[str, Any] = {
        "repository": pd.array([row["repository"] for row in rows], dtype="string"),
        "tag": pd.array([row["tag"] for row in rows], dtype="string"),
        "digest": pd.array([row["digest"] for row in rows], dtype="string"),
        "image_id": pd.array([row["image_id"] for row in rows], dtype="string"),
        "created_at": _times(row["created"] for row in rows),
        "size_bytes": pd.array([row["size"] for row in rows], dtype="Int64"),
    }
    if not with_digests:
        del columns["digest"]
    return _table(columns, "images")


def container_table(containers: Iterable[Json], *, with_size: bool = False) -> Table:
    """Return one row for each container.

    Parameters
    ----------
    containers : iterable of mapping
        `GET /containers/json`.
    with_size : bool
        Add `size_bytes` (what the container wrote) and `virtual_bytes` (with its image).
    """
    rows = list(containers)
    status = [str(row.get("Status", "")) for row in rows]
    exits = [_EXIT_CODE.match(text) for text in status]
    columns: dict[str, Any] = {
        "container_id": pd.array([row["Id"] for row in rows], dtype="string"),
        "image": pd.array([row["Image"] for row in rows], dtype="string"),
        "image_id": pd.array([row["ImageID"] for row in rows], dtype="string"),
        "command": pd.array([row["Command"] for row in rows], dtype="string"),
        "created_at": _times(row["Created"] for row in rows),
        "state": pd.Categorical([row["State"] for row in rows], categories=STATES),
        "exit_code": pd.array([int(m[1]) if m else None for m in exits], dtype="Int64"),
        "status": pd.array(status, dtype="string"),
        "ports": pd.array([_ports(row.get("Ports") or ()) for row in rows], dtype="string"),
        "names": pd.array([_names(row.get("Names") or ()) for row in rows], dtype="string"),
    }
    if with_size:
        columns["size_bytes"] = pd.array([row.get("SizeRw", 0) for row in rows], dtype="Int64")
        columns["virtual_bytes"] = pd.array(
            [row.get("SizeRootFs", 0) for row in rows], dtype="Int64"
        )
    return _table(columns, "containers")


def history_table(lines: Iterable[Json]) -> Table:
    """Return the steps an image was made in, newest first: `GET /images/{name}/history`."""
    rows = list(lines)
    columns: dict[str, Any] = {
        "image_id": pd.array([_known_id(row["Id"]) for row in rows], dtype="string"),
        "created_at": _times(row["Created"] for row in rows),
        "created_by": pd.array([row["CreatedBy"] for row in rows], dtype="string"),
        "size_bytes": pd.array([row["Size"] for row in rows], dtype="Int64"),
        "comment": pd.array([row["Comment"] for row in rows], dtype="string"),
    }
    return _table(columns, "history")


def volume_table(volumes: Iterable[Json], usage: Mapping[str, Json] | None = None) -> Table:
    """Return one row for each volume.

    Parameters
    ----------
    volumes : iterable of mapping
        `GET /volumes`.
    usage : mapping, optional
        ``UsageData`` of `GET /system/df` by name; then there are columns for it.
    """
    rows = list(volumes)
    drivers = [row["Driver"] for row in rows]
    columns: dict[str, Any] = {
        "name": pd.array([row["Name"] for row in rows], dtype="string"),
        "driver": pd.Categorical(drivers, categories=sorted({"local", *drivers})),
        "scope": pd.Categorical([row.get("Scope") for row in rows], categories=("local", "global")),
        "created_at": pd.DatetimeIndex(
            [row.get("CreatedAt") or pd.NaT for row in rows], dtype=_TIME
        ),
        "mountpoint": pd.array([row["Mountpoint"] for row in rows], dtype="string"),
        "labels": pd.array([_labels(row.get("Labels") or {}) for row in rows], dtype="string"),
    }
    if usage is not None:
        # -1 is what nobody has measured.
        for column, field in (("size_bytes", "Size"), ("containers", "RefCount")):
            values = [usage.get(row["Name"], {}).get(field, -1) for row in rows]
            columns[column] = pd.array([n if n >= 0 else None for n in values], dtype="Int64")
    return _table(columns, "volumes")


def change_table(changes: Iterable[Json]) -> Table:
    """Return one row for each file that a container has changed: `GET /containers/{id}/changes`."""
    rows = list(changes)
    columns: dict[str, Any] = {
        "change": pd.Categorical([CHANGES[row["Kind"]] for row in rows], categories=CHANGES),
        "path": pd.array([row["Path"] for row in rows], dtype="string"),
    }
    return _table(columns, "changes")


def engine_table(states: Iterable[EngineState], *, in_use: str = "") -> Table:
    """Return one row for each engine that could be used.

    Parameters
    ----------
    states : iterable of EngineState
        What they answered.
    in_use : str
        Address of the engine that is used now; '' for none.
    """
    rows = list(states)
    columns: dict[str, Any] = {
        "name": pd.array([row.known.name for row in rows], dtype="string"),
        "in_use": pd.array([row.known.address == in_use for row in rows], dtype="boolean"),
        "is_reachable": pd.array([row.is_reachable for row in rows], dtype="boolean"),
        "engine": pd.array([row.engine for row in rows], dtype="string"),
        "version": pd.array([row.version for row in rows], dtype="string"),
        "address": pd.array([row.known.address for row in rows], dtype="string"),
        "origin": pd.array([row.known.origin for row in rows], dtype="string"),
        "reason": pd.array([row.reason for row in rows], dtype="string"),
    }
    return _table(columns, "engines")


def _times(seconds: Iterable[int]) -> pd.DatetimeIndex:
    moments = [
        pd.NaT if value <= _UNKNOWN_S else datetime.fromtimestamp(value, UTC) for value in seconds
    ]
    return pd.DatetimeIndex(moments, dtype=_TIME)


def _table(columns: dict[str, Any], rows: str) -> Table:
    table = Table(columns)
    table.attrs["rows"] = rows
    return table


def _image_rows(image: Json) -> list[dict[str, Any]]:
    digests = dict(text.split("@", 1) for text in image.get("RepoDigests") or ())
    tags = [text.rpartition(":") for text in image.get("RepoTags") or () if text != "<none>:<none>"]
    names = [(repository, tag) for repository, _, tag in tags]
    # An image that was pulled by digest has a repository but no tag.
    names += [(name, _NONE) for name in digests if name not in {pair[0] for pair in names}]
    return [
        {
            "repository": repository,
            "tag": tag,
            "digest": digests.get(repository, _NONE),
            "image_id": image["Id"],
            "created": image["Created"],
            "size": image["Size"],
        }
        for repository, tag in names or [(_NONE, _NONE)]
    ]


def _known_id(text: str) -> str:
    return "<missing>" if text in {"", "<missing>"} else text


def _labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" if value else name for name, value in labels.items())


def _names(names: Iterable[str]) -> str:
    return ", ".join(name.removeprefix("/") for name in names)


def _ports(ports: Iterable[Json]) -> str:
    shown = []
    for port in ports:
        inside = f"{port['PrivatePort']}/{port['Type']}"
        outside = f"{port.get('IP', '')}:{port['PublicPort']}->" if "PublicPort" in port else ""
        shown.append(outside + inside)
    return ", ".join(shown)
