"""From the options of isolation to the runtime spec, and what a host is asked for in vain."""

import json
import resource
from typing import Any

import msgspec
import pytest

from dockerlab.engine import confinement
from dockerlab.engine.container import ContainerConfig, HostConfig
from dockerlab.engine.hostdevices import FoundDevice, find_devices
from dockerlab.engine.hostlimits import check_isolation, check_ulimits
from dockerlab.engine.isolation import DeviceMapping, Isolation, Ulimit
from dockerlab.engine.sharing import Donor, named_donors
from dockerlab.engine.specs import INIT_ANNOTATION, HostFacts, make_spec
from dockerlab.errors import Conflict, ContainerNotFound, InvalidArgument, StartFailure, Unsupported
from dockerlab.oci.runtimespec import Spec
from dockerlab.runtime import capabilities
from dockerlab.runtime.subids import IdRange
from dockerlab.runtime.usernamespace import Mapping, single_mapping
from tests.unit.engine.records import a_container

SUB_IDS = Mapping(
    (IdRange(0, 1000, 1), IdRange(1, 100000, 65536)),
    (IdRange(0, 1000, 1), IdRange(1, 100000, 65536)),
)


def spec(isolation: Isolation, facts: HostFacts | None = None, **host: Any) -> Spec:
    container = a_container(host=HostConfig(isolation=isolation, **host))
    return make_spec(container, facts or HostFacts("box", {}))


def places(made: Spec) -> dict[str, str]:
    return {mount["destination"]: mount["type"] for mount in made["mounts"]}


def kinds(made: Spec) -> dict[str, str]:
    return {each["type"]: each.get("path", "") for each in made["linux"]["namespaces"]}


def test_every_namespace_is_its_own_by_default() -> None:
    own = {"mount", "uts", "pid", "ipc", "network", "cgroup"}
    assert kinds(spec(Isolation())) == dict.fromkeys(own, "")


@pytest.mark.parametrize("kind", ["uts", "pid", "ipc", "cgroup"])
def test_a_namespace_of_the_host_is_left_out(kind: str) -> None:
    key = {"cgroup": "cgroupns_mode"}.get(kind, f"{kind}_mode")
    isolation = msgspec.structs.replace(Isolation(), **{key: "host"})
    assert kind not in kinds(spec(isolation))


def test_a_namespace_of_another_container_has_its_path() -> None:
    donor = Donor(a_container(2), 77, 5)
    facts = HostFacts("box", {}, donors={"network": donor, "pid": donor, "ipc": donor})
    made = spec(Isolation(ipc_mode="container:x"), facts)

    assert kinds(made)["network"] == "/proc/77/ns/net"
    assert kinds(made)["pid"] == "/proc/77/ns/pid"
    shm = next(mount for mount in made["mounts"] if mount["destination"] == "/dev/shm")
    assert shm["source"] == "/proc/77/root/dev/shm"


def test_what_a_donor_has_from_the_host_is_the_hosts() -> None:
    facts = HostFacts("box", {}, donors={"ipc": Donor(a_container(2), 77, -1)})
    made = spec(Isolation(ipc_mode="container:x"), facts)

    assert "ipc" not in kinds(made)
    assert places(made)["/dev/shm"] == "bind"


def test_without_ipc_there_is_no_shared_memory() -> None:
    assert "/dev/shm" not in places(spec(Isolation(ipc_mode="none")))


def test_privileged_has_no_filter_no_masks_and_every_capability() -> None:
    made = spec(Isolation(privileged=True))

    assert "seccomp" not in made["linux"]
    assert made["linux"]["maskedPaths"] == made["linux"]["readonlyPaths"] == []
    assert made["process"]["capabilities"]["bounding"] == capabilities.available()
    assert made["linux"]["resources"]["devices"] == []
    for mount in made["mounts"]:
        assert "ro" not in mount.get("options", []), mount


def test_paths_of_the_client_replace_the_defaults() -> None:
    linux = spec(Isolation(masked_paths=("/a",), readonly_paths=()))["linux"]
    assert (linux["maskedPaths"], linux["readonlyPaths"]) == (["/a"], [])


def test_tmpfs_comes_behind_what_it_lies_in_and_replaces_what_it_covers() -> None:
    made = spec(Isolation(tmpfs={"/a/b": "", "/a": "exec,size=1m", "/dev/shm": "size=5m"}))
    order = [mount["destination"] for mount in made["mounts"]]

    assert order.index("/a") < order.index("/a/b")
    assert order.count("/dev/shm") == 1
    options = {mount["destination"]: mount.get("options", []) for mount in made["mounts"]}
    assert options["/a"] == ["noexec", "nosuid", "nodev", "exec", "size=1m"]
    assert "size=5m" in options["/dev/shm"]


def test_an_unlimited_ulimit_is_the_kernels_largest_number() -> None:
    made = spec(Isolation(ulimits=(Ulimit(name="core", soft=0, hard=-1),)))
    assert made["process"]["rlimits"] == [{"type": "RLIMIT_CORE", "soft": 0, "hard": 2**64 - 1}]


def test_a_rule_for_all_kinds_becomes_two_that_keep_their_numbers() -> None:
    rules = confinement.device_rules_of(Isolation(device_cgroup_rules=("a 10:* rw",)), ())
    assert rules[-2:] == [
        {"allow": True, "type": "c", "access": "rw", "major": 10},
        {"allow": True, "type": "b", "access": "rw", "major": 10},
    ]


def test_a_device_is_made_by_root_and_bound_without() -> None:
    found = FoundDevice("/dev/b", "/dev/a", "c", 10, 229, 0o666, 0, 5, "rw")
    devices, mounts = confinement.devices_of([found], is_rootless=False)
    assert devices[-1]["path"] == "/dev/b"
    assert not mounts
    devices, mounts = confinement.devices_of([found], is_rootless=True)
    assert mounts[0]["source"] == "/dev/a"
    rule = confinement.device_rules_of(Isolation(), [found])[-1]
    assert rule == {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}


def test_init_is_an_annotation() -> None:
    assert INIT_ANNOTATION in spec(Isolation(has_init=True)).get("annotations", {})
    assert INIT_ANNOTATION not in spec(Isolation()).get("annotations", {})


def test_groups_stay_names_for_the_containers_own_files() -> None:
    assert spec(Isolation(group_add=("video",)))["process"]["user"]["groups"] == ["video"]


def test_devices_are_found_by_path_and_below_a_folder() -> None:
    [null] = find_devices(Isolation(devices=(_mapped("/dev/null"),)))
    assert (null.kind, null.major, null.minor) == ("c", 1, 3)
    with pytest.raises(StartFailure, match="not a device node"):
        find_devices(Isolation(devices=(_mapped("/etc/passwd"),)))
    with pytest.raises(StartFailure, match="no such file"):
        find_devices(Isolation(devices=(_mapped("/dev/none-such"),)))


def test_every_device_of_the_host_comes_with_privileges() -> None:
    paths = {device.path for device in find_devices(Isolation(privileged=True))}
    assert "/dev/null" in paths
    assert not any(path.startswith(("/dev/pts/", "/dev/shm/", "/dev/ptmx")) for path in paths)


def _mapped(path: str) -> DeviceMapping:
    return DeviceMapping(on_host=path, in_container=path)


def check(isolation: Isolation, mapping: Mapping | None = None, **host: Any) -> None:
    container = a_container(host=HostConfig(isolation=isolation, **host))
    check_isolation(container, mapping, has_cgroup=False)


def test_a_ulimit_above_the_hosts_is_refused_with_its_number() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = Ulimit(name="nofile", soft=1, hard=most + 1)
    with pytest.raises(Unsupported, match=f"hard limit of {most}"):
        check_ulimits([wanted], can_raise=False)
    with pytest.raises(Unsupported, match="unlimited"):
        check_ulimits([Ulimit(name="nofile", soft=-1, hard=-1)], can_raise=False)
    check_ulimits([wanted], can_raise=True)
    check_ulimits([Ulimit(name="nofile", soft=1, hard=most)], can_raise=False)


def test_a_sysctl_of_a_namespace_of_the_host_is_refused() -> None:
    net = Isolation(sysctls={"net.ipv4.ip_forward": "1"})
    with pytest.raises(InvalidArgument, match="network namespace"):
        check(net, network_mode="host")
    check(net, network_mode="none")
    with pytest.raises(InvalidArgument, match="IPC namespace"):
        check(Isolation(sysctls={"kernel.shmmax": "1"}, ipc_mode="host"))


@pytest.mark.parametrize(
    ("isolation", "mapping", "words"),
    [
        (Isolation(device_cgroup_rules=("c 1:3 r",)), SUB_IDS, "device cgroup"),
        (
            Isolation(
                devices=(DeviceMapping(on_host="/dev/a", in_container="/dev/a", permissions="r"),)
            ),
            SUB_IDS,
            "device cgroup",
        ),
        (Isolation(group_add=("1",)), single_mapping(), "one id"),
        (Isolation(pid_mode="host"), SUB_IDS, "cgroup"),
    ],
)
def test_without_root_it_is_refused_with_a_remedy(
    isolation: Isolation, mapping: Mapping, words: str
) -> None:
    with pytest.raises(Unsupported, match=words) as refused:
        check(isolation, mapping)
    assert refused.value.hint


def test_an_unknown_capability_is_refused_before_anything_is_made() -> None:
    with pytest.raises(InvalidArgument, match="unknown capability"):
        check(Isolation(), cap_add=("NONSENSE",))


def test_a_filter_that_no_kernel_takes_is_refused_before_anything_is_made() -> None:
    names = ["mkdir", "rmdir", "unlink", "rename", "link", "symlink"]
    values = [
        {"index": 0, "op": "SCMP_CMP_EQ", "value": (number << 40) + number}
        for number in range(1, 500)
    ]
    rule = {"names": names, "action": "SCMP_ACT_LOG", "args": values}
    profile = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
    with pytest.raises(InvalidArgument, match="seccomp profile cannot be used"):
        check(Isolation(), security_opt=(f"seccomp={profile}",))
    strange = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_MIPS"]})
    with pytest.raises(InvalidArgument, match="seccomp profile cannot be used"):
        check(Isolation(), security_opt=(f"seccomp={strange}",))


def test_names_of_donors_become_ids() -> None:
    donor = a_container(2, name="web", config=ContainerConfig(image="x", hostname="www"))

    def get(name: str) -> Any:
        if name not in ("web", donor.id):
            raise ContainerNotFound(name)
        return donor

    config, host = named_donors(
        ContainerConfig(image="x"), HostConfig(network_mode="container:web"), get
    )
    assert host.network_mode == f"container:{donor.id}"
    assert config.hostname == "www"
    with pytest.raises(InvalidArgument, match="conflicting options: hostname"):
        named_donors(
            ContainerConfig(image="x", hostname="own"),
            HostConfig(network_mode="container:web"),
            get,
        )
    with pytest.raises(Conflict, match="No such container"):
        named_donors(
            ContainerConfig(image="x"), HostConfig(isolation=Isolation(pid_mode="container:y")), get
        )


def test_a_hostname_is_the_hosts_where_its_namespace_is() -> None:
    with pytest.raises(InvalidArgument, match="UTS mode"):
        named_donors(
            ContainerConfig(image="x", hostname="own"),
            HostConfig(isolation=Isolation(uts_mode="host")),
            lambda _: a_container(),
        )
