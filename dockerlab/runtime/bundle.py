"""An OCI bundle as the monitor reads it: `config.json`, and the filter that goes with it.

The engine has written both; so this checks what a crash or a foreign bundle would break, and not
every rule of the specification. runtime-spec/bundle.md
"""

from __future__ import annotations

import errno
import json
import os

from dockerlab.runtime import seccomp
from dockerlab.runtime.protocol import Step, StepFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerlab.oci.runtimespec import Spec

__all__ = ["load_filter", "load_spec"]

_NEEDED = ("process", "root", "mounts", "linux")
# Kept out of config.json, so that other runtimes take the bundle: the compiled `linux.seccomp`.
_FILTER_NAME = "seccomp.bpf"


def load_spec(bundle: str) -> Spec:
    """Return the spec of a bundle.

    Raises
    ------
    StepFailure
        Step ``bundle``: there is none, or it is not one.
    """
    path = os.path.join(bundle, "config.json")
    with Step("bundle", path):
        data = _read(path)
    try:
        spec: Spec = json.loads(data)
    except ValueError as error:
        raise StepFailure("bundle", errno.EINVAL, path, f'bundle "{path}": {error}') from error
    missing = [key for key in _NEEDED if key not in spec]
    if missing:
        raise StepFailure("bundle", errno.EINVAL, path, f'bundle "{path}": no "{missing[0]}" in it')
    return spec


def load_filter(bundle: str, spec: Spec) -> bytes | None:
    """Return the seccomp program of a bundle: the compiled one, else made from the spec.

    Returns
    -------
    bytes or None
        None when the spec asks for no filter, whatever lies in the bundle.
    """
    if "seccomp" not in spec["linux"]:
        return None
    path = os.path.join(bundle, _FILTER_NAME)
    with Step("seccomp", path):
        try:
            return _read(path)
        except FileNotFoundError:
            pass
    try:
        return seccomp.compile_filter(spec["linux"]["seccomp"], os.uname().machine)
    except ValueError as error:
        raise StepFailure("seccomp", errno.EINVAL, path, f"seccomp: {error}") from error


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
