"""What the command line decides before anything is made."""

import json
from pathlib import Path
from typing import Any

import pytest

from dockerlab.runtime.protocol import StepFailure
from dockerlab.runtime.standalone import foreign
from dockerlab.runtime.standalone.store import Store


def load(folder: Path, **changes: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": {"args": ["true"], "cwd": "/"},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/data", "source": "/srv", "options": ["rbind"]}],
        "linux": {"namespaces": [{"type": "mount"}]},
    }
    for key, value in changes.items():
        spec[key] = {**spec[key], **value} if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(spec))
    return dict(foreign.load(str(folder)))


def test_what_every_container_has_is_added(tmp_path: Path) -> None:
    spec = load(tmp_path)

    assert {device["path"] for device in spec["linux"]["devices"]} >= {"/dev/null", "/dev/tty"}
    null = {"allow": True, "type": "c", "access": "rwm", "major": 1, "minor": 3}
    assert null in spec["linux"]["resources"]["devices"]
    assert spec["process"]["capabilities"]["bounding"] == []
    assert spec["mounts"][0]["type"] == "bind"


def test_ambient_capabilities_are_those_that_could_be_inherited(tmp_path: Path) -> None:
    sets = {"permitted": ["CAP_KILL"], "ambient": ["CAP_KILL", "CAP_CHOWN"]}

    without = load(tmp_path, process={"capabilities": sets})
    having = load(tmp_path, process={"capabilities": {**sets, "inheritable": ["CAP_KILL"]}})

    assert without["process"]["capabilities"]["ambient"] == []
    assert having["process"]["capabilities"]["ambient"] == ["CAP_KILL"]


@pytest.mark.parametrize(
    "changes",
    [
        {"ociVersion": "2.0.0"},
        {"process": {"apparmorProfile": "mine"}},
        {"linux": {"namespaces": [{"type": "mount"}, {"type": "time"}]}},
        {"linux": {"intelRdt": {"closID": "x"}}},
        {"mounts": [{"destination": "/a", "source": "/b", "uidMappings": [{"size": 1}]}]},
    ],
)
def test_what_is_not_done_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(StepFailure, match="this runtime does not support"):
        load(tmp_path, **changes)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "x" * 1025])
def test_an_id_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(StepFailure, match="invalid container id"):
        Store(str(tmp_path)).add(name, {})


def test_an_id_is_taken_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.add("c", {"spec": {"ociVersion": "1.0.2"}, "bundle": "/b"})

    with pytest.raises(StepFailure, match="exists already"):
        store.add("c", {})
    assert store.get("c").status == "creating"
