"""What is refused before anything of a container is made."""

from typing import Any, cast

import msgspec
import pytest

from dockerlab.engine.container import HostConfig
from dockerlab.engine.launching import Refusing
from dockerlab.engine.mount import Mount
from dockerlab.engine.spawner import Spawner
from dockerlab.engine.start import Starter
from dockerlab.engine.storage import Storage
from dockerlab.engine.traced import Traced
from dockerlab.errors import Unsupported
from dockerlab.image.layers import LayerStore
from tests.unit.engine.records import a_container


def test_a_host_that_runs_no_containers_says_why() -> None:
    unused = cast("Spawner", None), cast("LayerStore", None), cast("Storage", None)
    refusing = Refusing(*unused[:2], "user namespaces: operation not permitted")
    starter = Starter(unused[0], refusing, unused[2])

    with pytest.raises(Unsupported, match="cannot run on this host: user namespaces") as refused:
        starter.check(a_container())
    assert "dockerlab doctor" in refused.value.hint


def test_under_proot_the_network_is_the_hosts_and_what_is_lacking_has_a_name() -> None:
    unused = cast("Spawner", None), cast("LayerStore", None)
    traced = Traced(*unused, "/usr/bin/proot", "no namespaces")
    starter = Starter(unused[0], traced, cast("Storage", None))
    container = a_container()

    host = starter.settle(HostConfig())
    starter.check(msgspec.structs.replace(container, host=host))
    assert host.network_mode == "host"
    cases: dict[str, dict[str, Any]] = {
        "--memory": {"memory_bytes": 1 << 26},
        '"none"': {"network_mode": "none"},
        "--security-opt seccomp=mine": {"security_opt": ("seccomp=mine",)},
    }
    for option, changes in cases.items():
        lacking = msgspec.structs.replace(host, **changes)
        with pytest.raises(Unsupported, match=r'tier "ptrace".*no namespaces') as refused:
            starter.check(msgspec.structs.replace(container, host=lacking))
        assert option in refused.value.message
    for option, mount in {
        "read-only mount": Mount(kind="bind", source="/etc", destination="/e", is_read_only=True),
        "named volume": Mount(kind="volume", source="data", destination="/e"),
        "type=tmpfs": Mount(kind="tmpfs", destination="/e"),
    }.items():
        with pytest.raises(Unsupported, match=option):
            starter.check(msgspec.structs.replace(container, host=host, mounts=(mount,)))
