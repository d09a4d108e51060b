"""What is refused before anything of a container is made."""

from typing import Any, cast

import msgspec
import pytest

from dockerlab.engine.container import Bind, HostConfig
from dockerlab.engine.launching import Namespaced, Refusing
from dockerlab.engine.spawner import Spawner
from dockerlab.engine.start import Starter
from dockerlab.engine.traced import Traced
from dockerlab.errors import Unsupported
from dockerlab.image.layers import LayerStore
from tests.unit.engine.records import a_container


def test_a_host_that_runs_no_containers_says_why() -> None:
    unused = cast("Spawner", None), cast("LayerStore", None)
    refusing = Refusing(*unused, "user namespaces: operation not permitted")
    starter = Starter(unused[0], refusing)

    with pytest.raises(Unsupported, match="cannot run on this host: user namespaces") as refused:
        starter.check(a_container())
    assert "dockerlab doctor" in refused.value.hint


def test_under_proot_the_network_is_the_hosts_and_what_is_lacking_has_a_name() -> None:
    unused = cast("Spawner", None), cast("LayerStore", None)
    starter = Starter(unused[0], Traced(*unused, "/usr/bin/proot", "no namespaces"))
    container = a_container()

    host = starter.settle(HostConfig())
    starter.check(msgspec.structs.replace(container, host=host))
    assert host.network_mode == "host"
    cases: dict[str, dict[str, Any]] = {
        "--memory": {"memory_bytes": 1 << 26},
        '"none"': {"network_mode": "none"},
        "--security-opt seccomp=mine": {"security_opt": ("seccomp=mine",)},
        "read-only volume": {"binds": (Bind(source="/etc", target="/e", is_readonly=True),)},
    }
    for option, changes in cases.items():
        lacking = msgspec.structs.replace(host, **changes)
        with pytest.raises(Unsupported, match=r'tier "ptrace".*no namespaces') as refused:
            starter.check(msgspec.structs.replace(container, host=lacking))
        assert option in refused.value.message


def test_volumes_are_refused_where_they_are_not_built() -> None:
    unused = cast("Spawner", None), cast("LayerStore", None)
    starter = Starter(unused[0], Namespaced(*unused, is_rootless=False))
    for is_volume, flag in ((True, "--volume"), (False, "--mount")):
        binds = (Bind(source="/a", target="/b", is_volume=is_volume),)
        container = msgspec.structs.replace(a_container(), host=HostConfig(binds=binds))
        with pytest.raises(Unsupported, match=f"{flag} is not supported by this version"):
            starter.check(container)
