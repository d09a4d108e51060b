import dataclasses

from dockerlab.daemon.shapes.system import info, version
from tests.unit.daemon.memory import MemorySystem

FACTS = MemorySystem().info()


def test_info_says_which_mirrors_stand_for_docker_hub() -> None:
    facts = dataclasses.replace(
        FACTS, mirrors=("http://127.0.0.1:5000",), insecure_registries=("lab:5000",)
    )
    registries = info(facts)["RegistryConfig"]
    assert registries["Mirrors"] == ["http://127.0.0.1:5000"]
    assert registries["IndexConfigs"]["lab:5000"]["Secure"] is False


def test_a_lesser_tier_is_a_warning() -> None:
    facts = dataclasses.replace(FACTS, tier="look only", tier_reason="no namespaces")
    assert info(facts)["Warnings"] == ["WARNING: tier look only: no namespaces"]


def test_info_counts_containers_in_all_states() -> None:
    facts = dataclasses.replace(
        FACTS, containers_running=1, containers_paused=2, containers_stopped=3
    )
    assert info(facts)["Containers"] == 6


def test_version_says_python_where_dockerd_says_go() -> None:
    shape = version(FACTS, api_version="1.45", min_api_version="1.24")
    assert shape["GoVersion"] == "none (Python 3.11.7)"
    assert shape["Platform"] == {"Name": "dockerlab (rootful)"}


def test_without_a_cgroup_no_limit_is_promised() -> None:
    names = ("MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet")
    shape = info(dataclasses.replace(FACTS, cgroup_driver="none", limits=frozenset()))
    assert [shape[name] for name in (*names, "PidsLimit")] == [False] * 7
