"""All probes on this very host, and what stays behind: nothing."""

import os
import sys
from pathlib import Path

import pytest

from dockerlab.runtime.probes.asking import Host
from dockerlab.runtime.probes.registry import NETWORK_PROBE, PROBES, examine, writing


def test_names_and_titles_are_said_once() -> None:
    assert len({probe.name for probe in (*PROBES, NETWORK_PROBE)}) == len(PROBES) + 1
    assert len({probe.title for probe in (*PROBES, NETWORK_PROBE)}) == len(PROBES) + 1


@pytest.mark.needs_root
@pytest.mark.needs_namespaces
@pytest.mark.needs_overlay
@pytest.mark.needs_cgroup
def test_a_full_host_can_do_all_and_is_left_as_it_was(tmp_path: Path) -> None:
    before = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    host = Host(str(tmp_path / "deep" / "root"), sys.executable, os.defpath)

    answers = {ability.name: ability for ability in examine(host)}

    lacking = {name for name, ability in answers.items() if not ability.ok}
    assert lacking <= {"sub_ids", "proot", "other_engine"}, lacking
    assert answers["cgroups"].facts["writable"] == ["cpu", "memory", "pids"]
    assert list(tmp_path.iterdir()) == []
    assert not list(Path("/dev/shm").glob("dockerlab-probe-*"))
    assert not list(Path("/sys/fs/cgroup").glob("**/dockerlab-probe-*"))
    assert Path("/proc/self/mountinfo").read_text(encoding="utf-8") == before


def test_what_a_killed_examination_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".dockerlab-probe-4194305" / "work").mkdir(parents=True)
    running = tmp_path / f".dockerlab-probe-{os.getppid()}"
    running.mkdir()

    with writing(Host(str(tmp_path), sys.executable, "")):
        assert list(tmp_path.iterdir()) == [running]


def test_folders_without_permission_bits_are_removed_too(tmp_path: Path) -> None:
    with writing(Host(str(tmp_path), sys.executable, "")) as host:
        (Path(host.scratch) / "work" / "work").mkdir(parents=True)
        (Path(host.scratch) / "work" / "work").chmod(0)

    assert list(tmp_path.iterdir()) == []
