"""The choice of a tier: what each needs, and what is said when it is not to be had."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dockerlab.kernel import constants, privileges
from dockerlab.runtime.probes.asking import Ability, Host
from dockerlab.runtime.probes.registry import PROBES
from dockerlab.runtime.tier import PLAIN, TIERS, choose, choose_tier
from tests.support.filters import in_child

NAMES = [probe.name for probe in PROBES]


def abilities(*lacking: str) -> dict[str, Ability]:
    return {
        name: Ability(name, ok=name not in lacking, reason=f"reason of {name}", errno="", facts={})
        for name in NAMES
    }


@pytest.mark.parametrize(
    ("lacking", "tier"),
    [
        ((), "rootful"),
        (("sys_admin",), "rootless"),
        (("sys_admin", "sub_ids"), "rootless, one id"),
        (("sys_admin", "single_id"), "ptrace"),
        (("overlay", "overlay_user"), "ptrace"),
        (("mount_namespace", "proot"), "remote"),
        (("seccomp", "ptrace", "other_engine"), "look only"),
        (tuple(NAMES), "look only"),
    ],
)
def test_the_best_tier_whose_needs_are_met_is_chosen(lacking: tuple[str, ...], tier: str) -> None:
    assert choose(abilities(*lacking)).name == tier


@pytest.mark.parametrize("name", ["cgroups", "space", "shared_memory", "cgroup_namespace"])
def test_what_no_tier_needs_changes_none(name: str) -> None:
    assert choose(abilities(name)).name == "rootful"


def test_the_reason_names_what_each_better_tier_lacks_once() -> None:
    tier = choose(abilities("sys_admin", "seccomp", "proot"))

    assert tier.reason == (
        "root with CAP_SYS_ADMIN: reason of sys_admin; seccomp filters: reason of seccomp;"
        " the program proot: reason of proot"
    )


def test_no_more_is_asked_than_decides() -> None:
    asked = []

    class Recording(Mapping[str, Ability]):
        def __getitem__(self, name: str) -> Ability:
            asked.append(name)
            return abilities("sys_admin", "single_id")[name]

        def __iter__(self) -> Iterator[str]:
            return iter(NAMES)

        def __len__(self) -> int:
            return len(NAMES)

    assert choose(Recording()).name == "ptrace"
    assert set(asked) == {"sys_admin", "single_id", "ptrace", "proot"}


def test_every_need_is_a_probe_and_the_last_tier_needs_none() -> None:
    assert {name for kind in TIERS for name in kind.needs} <= set(NAMES)
    assert TIERS[-1].needs == ()
    assert set(PLAIN) <= {kind.name for kind in TIERS}


@pytest.mark.needs_root
@pytest.mark.needs_namespaces
@pytest.mark.needs_overlay
def test_root_is_rootful_and_the_data_root_stays_as_it_was(tmp_path: Path) -> None:
    tier = choose_tier(Host(str(tmp_path / "root"), sys.executable, os.defpath))

    assert tier.name == "rootful"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs_root
def test_root_without_its_capability_is_like_a_user_without_sub_ids(tmp_path: Path) -> None:
    host = Host(str(tmp_path), sys.executable, "")

    def act() -> str:
        kept = privileges.capget()[0] & ~(1 << constants.CAP_SYS_ADMIN)
        privileges.capset(kept, kept, 0)
        return "|".join(choose_tier(host))

    name, _, reason = in_child(act).partition("|")

    assert name == "rootless, one id"
    assert reason.startswith("root with CAP_SYS_ADMIN: root has no CAP_SYS_ADMIN here; ")
    assert reason.endswith("no newuidmap and no newgidmap on the PATH")
