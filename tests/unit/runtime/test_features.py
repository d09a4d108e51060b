"""The rows on features: in every tier each has a reason, and a "no" its remedy."""

import pytest

from dockerlab.engine.runtimes import find_runtimes
from dockerlab.runtime.cgroups.features import ALL as LIMITS
from dockerlab.runtime.features import FEATURES, Offer, offers
from dockerlab.runtime.probes.asking import Ability
from dockerlab.runtime.probes.kernelfacts import KernelFacts, look
from dockerlab.runtime.probes.registry import PROBES
from dockerlab.runtime.tier import LOOK_ONLY, PTRACE, REMOTE, ROOTFUL, ROOTLESS, TIERS, Tier

ALL = KernelFacts(
    limits=LIMITS,
    cgroup_version=1,
    has_freezer=True,
    runtimes=("crun",),
    can_raise=True,
)
# What a tier lacks, so that the choice falls on one below it.
NO = {kind.name: kind.needs[:1] for kind in TIERS}


def abilities(*lacking: str) -> dict[str, Ability]:
    return {
        probe.name: Ability(probe.name, probe.name not in lacking, "why", "", {})
        for probe in PROBES
    }


def offered(tier: str, facts: KernelFacts = ALL) -> dict[str, Offer]:
    names = [kind.name for kind in TIERS]
    lacking = [need for name in names[: names.index(tier)] for need in NO[name]]
    rows = offers(Tier(tier, "because"), abilities(*lacking), facts)
    return {row.feature.name: row for row in rows}


@pytest.mark.parametrize("tier", [kind.name for kind in TIERS])
@pytest.mark.parametrize("facts", [ALL, KernelFacts(no_cgroup="read-only")], ids=["all", "few"])
def test_every_feature_has_a_row_with_a_reason_and_every_no_a_remedy(
    tier: str, facts: KernelFacts
) -> None:
    rows = offered(tier, facts)

    assert list(rows) == [feature.name for feature in FEATURES]
    for row in rows.values():
        assert row.reason
        assert bool(row.remedy) != row.ok


def test_root_with_everything_lacks_nothing() -> None:
    assert [name for name, row in offered(ROOTFUL).items() if not row.ok] == []


def test_where_nothing_runs_there_is_nothing() -> None:
    for tier in (REMOTE, LOOK_ONLY):
        assert [name for name, row in offered(tier).items() if row.ok] == []
    assert offered(REMOTE)["memory"].remedy.startswith("%engine docker")


def test_a_no_of_the_tier_points_to_what_the_nearest_better_tier_lacks() -> None:
    rows = offered(PTRACE)

    assert rows["memory"].remedy == 'what lifts "one id mapped in a user namespace"'
    assert rows["runtimes"].remedy == 'what lifts "root with CAP_SYS_ADMIN"'
    assert rows["user"].ok


def test_without_a_cgroup_there_are_no_limits_and_who_is_no_root_is_told_how_to_get_one() -> None:
    facts = ALL._replace(no_cgroup="no cgroup is given")

    for name in ("memory", "pause", "pids", "pid_host"):
        assert "cgroup_parent" in offered(ROOTLESS, facts)[name].remedy
    assert offered(ROOTFUL, facts)["memory"].remedy == 'what lifts "limits by cgroups"'
    assert [name for name, row in offered(ROOTFUL, facts).items() if row.ok] == ["copies"]


def test_what_the_kernel_lacks_is_said() -> None:
    facts = ALL._replace(limits=frozenset({"memory"}), cgroup_version=2, can_raise=False)
    rows = offered(ROOTFUL, facts._replace(most_files=100, has_profiles=True))

    assert rows["swap"].remedy == "boot with swapaccount=1"
    assert rows["swappiness"].reason == "cgroup v1 alone has it"
    assert "open files: 100" in rows["ulimits"].reason
    assert "CAP_SYS_RESOURCE" in rows["oom_score"].reason
    assert not rows["profiles"].ok


def test_the_runtimes_are_those_that_the_engine_finds() -> None:
    facts = look(abilities(), is_root=True, runtimes={"mine": "/m"})

    assert facts.runtimes == tuple(find_runtimes({"mine": "/m"}, is_rootless=False).programs)
