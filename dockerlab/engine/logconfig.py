"""What ``--log-driver`` and ``--log-opt`` mean: checked at creation, settled for the monitor.

The names, the defaults and the words of the refusals are Docker's (moby, daemon/logger).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dockerlab.engine.container import Container, HostConfig
from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.units import parse_size

__all__ = [
    "DRIVERS",
    "LogDefaults",
    "attributes",
    "check",
    "log_files",
    "monitor_config",
    "rotation",
]

DRIVERS = ("json-file", "local", "none")

_ROTATION = frozenset({"max-size", "max-file", "compress"})
_DETAILS = frozenset({"labels", "labels-regex", "env", "env-regex", "tag"})
_KNOWN = {"json-file": _ROTATION | _DETAILS, "local": _ROTATION}
# For every driver: how the output gets to it.
_DELIVERY = frozenset({"mode", "max-buffer-size"})

_LOCAL_BYTES = 20 << 20
_LOCAL_FILES = 5
_FLAGS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
_PLACEHOLDER = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")
_SHORT_ID = 12


@dataclass(frozen=True, slots=True)
class LogDefaults:
    """What the settings say for containers that do not say it themselves."""

    driver: str = "json-file"
    options: Mapping[str, str] = field(default_factory=dict)

    def apply(self, host: HostConfig) -> HostConfig:
        """Return `host` with a driver and with options that were checked.

        Raises
        ------
        InvalidArgument
            An unknown driver or option, or a value that cannot be right.
        Unsupported
            An option that Docker has and this engine has not.
        """
        driver = host.log_driver or self.driver
        options = dict(host.log_options)
        if driver == self.driver:
            options = {**self.options, **options}
        check(driver, options)
        return msgspec.structs.replace(host, log_driver=driver, log_options=options)


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a log goes into its next file, and how many there are; `max_bytes` 0 is never."""

    max_bytes: int
    max_files: int
    compress: bool


def check(driver: str, options: Mapping[str, str]) -> None:
    """Refuse what is no log; see `LogDefaults.apply`."""
    if driver not in DRIVERS:
        raise InvalidArgument(
            f"logger: no log driver named '{driver}' is registered",
            f"there are {', '.join(DRIVERS)}",
        )
    if driver == "none":
        return
    _check_delivery(options)
    for key in options:
        if key not in _KNOWN[driver] | _DELIVERY:
            raise InvalidArgument(_unknown(driver, key))
    rotation(driver, options)
    for key in ("labels-regex", "env-regex"):
        _pattern(options.get(key, ""))
    for name in _PLACEHOLDER.findall(options.get("tag", "")):
        if name not in _TAGS:
            raise Unsupported(
                f'the field ".{name}" of the log tag is not supported',
                f"there are {', '.join(f'.{each}' for each in _TAGS)}",
            )
    if "{{" in _PLACEHOLDER.sub("", options.get("tag", "")):
        raise Unsupported(
            "a log tag may have fields such as {{.Name}}, but no other parts of a Go template",
            "write the tag as text and fields",
        )


def rotation(driver: str, options: Mapping[str, str]) -> Rotation:
    """Return how a log is rotated; raise InvalidArgument for values that cannot be."""
    is_local = driver == "local"
    max_bytes = _LOCAL_BYTES if is_local else 0
    if text := options.get("max-size", ""):
        max_bytes = 0 if text == "-1" and not is_local else parse_size(text)
        if max_bytes <= 0 and text != "-1":
            raise InvalidArgument(f"invalid max-size {text}", "write a size such as 10m")
    max_files = _LOCAL_FILES if is_local else 1
    if text := options.get("max-file", ""):
        max_files = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0  # noqa: PLR2004 - more is no number of files
        if max_files < 1:
            raise InvalidArgument(f"invalid max-file {text}", "write a number from 1 to 9999")
    compress = is_local and max_files > 1
    if text := options.get("compress", ""):
        if text not in _FLAGS:
            raise InvalidArgument(f'invalid compress "{text}"', "write true or false")
        compress = _FLAGS[text]
        if compress and (max_files == 1 or not max_bytes):
            raise InvalidArgument(
                "compress cannot be true when max-file is less than 2 or max-size is not set"
            )
    return Rotation(max_bytes, max_files, compress)


def log_files(host: HostConfig) -> int:
    """Return how many files a container's log may have."""
    return rotation(host.log_driver, host.log_options).max_files


def monitor_config(container: Container, image_name: str) -> dict[str, Any]:
    """Return the log as the monitor's arguments have it (`runtime.containerlog`)."""
    host = container.host
    plan = rotation(host.log_driver, host.log_options)
    return {
        "driver": host.log_driver,
        "max_bytes": plan.max_bytes,
        "max_files": plan.max_files,
        "compress": plan.compress,
        "attributes": attributes(container, image_name),
    }


def attributes(container: Container, image_name: str) -> dict[str, str]:
    """Return what is written with every entry, for `docker logs --details`.

    Examples
    --------
    A container with the label ``a=1``, and ``--log-opt labels=a,b``, has ``{"a": "1"}``.
    """
    options, config = container.host.log_options, container.config
    variables = dict(entry.partition("=")[::2] for entry in config.env)
    found = {
        **_selected(config.labels, options.get("labels", ""), options.get("labels-regex", "")),
        **_selected(variables, options.get("env", ""), options.get("env-regex", "")),
    }
    if tag := options.get("tag", ""):
        values = _tag_values(container, image_name)
        found["tag"] = _PLACEHOLDER.sub(lambda match: values[match.group(1)], tag)
    return found


def _selected(values: Mapping[str, str], names: str, pattern: str) -> dict[str, str]:
    wanted = set(names.split(",")) if names else set()
    matches = _pattern(pattern) if pattern else None
    return {
        key: value
        for key, value in values.items()
        if key in wanted or (matches is not None and matches.search(key))
    }


_TAGS = ("ID", "FullID", "Name", "ImageID", "ImageFullID", "ImageName", "Command", "DaemonName")


def _tag_values(container: Container, image_name: str) -> dict[str, str]:
    image_id = str(container.image_id)
    return {
        "ID": container.id[:_SHORT_ID],
        "FullID": container.id,
        "Name": container.name,
        "ImageID": image_id.partition(":")[2][:_SHORT_ID],
        "ImageFullID": image_id,
        "ImageName": image_name,
        "Command": " ".join(container.argv),
        "DaemonName": "docker",
    }


def _check_delivery(options: Mapping[str, str]) -> None:
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidArgument(f"logger: logging mode not supported: {mode}")
    if mode == "non-blocking":
        raise Unsupported(
            "--log-opt mode=non-blocking is not supported: a program waits for its log here",
            "leave the mode out; logs are files on this host, and quick",
        )
    if "max-buffer-size" in options:
        raise InvalidArgument(
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
        )


def _unknown(driver: str, key: str) -> str:
    if driver == "json-file":
        return f"unknown log opt '{key}' for json-file log driver"
    return f"unknown log opt '{key}' for log driver {driver}"


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as exc:
        raise InvalidArgument(f'invalid regular expression "{text}" in --log-opt: {exc}') from exc
