"""Contenders that take turns: measured round by round, shown as a table, kept as samples.

Not here: who contends, and in what (`run_latency`, `rootless_latency`).
"""

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from dockerlab.report.statistics import median_interval, ratio_interval

__all__ = ["Contender", "Sample", "enter_own_mounts", "measure", "parser", "remove", "report"]

_RESULTS = Path(__file__).parent / "results"
# Between two runs, so that what one engine still does behind its answer is not in the next time.
SETTLE_S = 0.1
WARM_UP_ROUNDS = 2

_OWN_MOUNTS = "DOCKERLAB_BENCHMARK_MOUNTS"
_UNIFIED = Path("/sys/fs/cgroup/unified")


class Contender(Protocol):
    """What is measured."""

    def version(self) -> str:
        """Return what it calls itself."""
        ...

    def pull(self, reference: str) -> None:
        """Get the image."""
        ...

    def run(self, reference: str) -> tuple[bytes, dict[str, float]]:
        """Run it once; return the output and the seconds of each phase."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run: its place in the experiment and its seconds, phase by phase."""

    contender: str
    round: int
    order: int
    duration_s: float
    phases: dict[str, float]


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return the options that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("-n", type=int, default=30, metavar="ROUNDS", help="runs of each contender")
    made.add_argument("--seed", type=int, default=1, help="of the order and of the intervals")
    made.add_argument("--json", type=Path, metavar="FILE", help="where the samples go")
    made.add_argument("--dir", type=Path, help="where the engines' folders are made")
    return made


def measure(
    contenders: Mapping[str, Contender], reference: str, *, rounds: int, seed: int
) -> list[Sample]:
    """Run every contender once a round, in random order; the first rounds only warm up."""
    order = random.Random(seed)
    expected = {name: contender.run(reference)[0] for name, contender in contenders.items()}
    if len(set(expected.values())) != 1:
        raise RuntimeError(f"the contenders do not print the same: {expected}")
    samples = []
    for number in range(-WARM_UP_ROUNDS, rounds):
        names = list(contenders)
        order.shuffle(names)
        for place, name in enumerate(names):
            time.sleep(SETTLE_S)
            begin = time.perf_counter()
            output, phases = contenders[name].run(reference)
            elapsed = time.perf_counter() - begin
            if output != expected[name]:
                raise RuntimeError(f"{name} printed something else in round {number}")
            if number >= 0:
                samples.append(
                    Sample(
                        contender=name,
                        round=number,
                        order=place,
                        duration_s=elapsed,
                        phases=phases,
                    )
                )
    return samples


def report(
    name: str,
    title: str,
    samples: list[Sample],
    versions: Mapping[str, str],
    arguments: argparse.Namespace,
) -> None:
    """Print the table, and keep the samples with the machine and the versions.

    The first of `versions` is what the others are compared with.
    """
    ended = datetime.now(UTC)
    document = _document(name, samples, versions, ended, arguments)
    target = arguments.json or _RESULTS / f"{name}-{ended:%Y%m%dT%H%M%SZ}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(table(title, samples, versions, seed=arguments.seed))
    print(f"\nsamples: {target}")


def table(title: str, samples: list[Sample], versions: Mapping[str, str], *, seed: int) -> str:
    """Return medians with their intervals, and what each takes in multiples of the first."""
    ours = next(iter(versions))
    times = {name: [s.duration_s for s in samples if s.contender == name] for name in versions}
    rounds = len(times[ours])
    lines = [
        f"{title}, {rounds} runs each in turn (95 % intervals)",
        "",
        f"{'':30} {'min':>8} {'median ms':>26} {'ratio to ' + ours:>26}",
    ]
    for name, taken in sorted(times.items(), key=lambda item: sorted(item[1])[rounds // 2]):
        median = median_interval([value * 1e3 for value in taken], seed=seed)
        ratio = ratio_interval(taken, times[ours], seed=seed)
        lines.append(
            f"{name + ' ' + versions[name]:30.30} {min(taken) * 1e3:8.1f} "
            f"{f'{median.estimate:.1f} ({median.low:.1f} to {median.high:.1f})':>26} "
            f"{f'{ratio.estimate:.2f} ({ratio.low:.2f} to {ratio.high:.2f})':>26}"
        )
    return "\n".join([*lines, "", *_phase_lines(samples)])


def _phase_lines(samples: list[Sample]) -> list[str]:
    lines = []
    for name in dict.fromkeys(sample.contender for sample in samples):
        runs = [sample.phases for sample in samples if sample.contender == name]
        if len(runs[0]) > 1:
            medians = {
                phase: median_interval([run[phase] * 1e3 for run in runs]).estimate
                for phase in runs[0]
            }
            parts = ", ".join(f"{phase} {value:.1f}" for phase, value in medians.items())
            lines.append(f"{name}, median ms: {parts}")
    return lines


def enter_own_mounts() -> None:
    """Go on in a mount namespace of our own, so that nothing mounted here stays on the host.

    crun (1.8) refuses a host with controllers in both cgroup hierarchies; there the unified one is
    hidden from all contenders alike, which are then on version 1.
    """
    if _OWN_MOUNTS not in os.environ:
        os.environ[_OWN_MOUNTS] = "1"
        command = ["unshare", "--mount", "--propagation", "slave", sys.executable, *sys.argv]
        os.execvp(command[0], command)
    controllers = _UNIFIED / "cgroup.controllers"
    if controllers.exists() and controllers.read_text().strip():
        subprocess.run(["umount", str(_UNIFIED)], check=True)
        # An empty one in its place: crun makes folders there, which would stay.
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(_UNIFIED)], check=True)


def remove(folder: Path) -> None:
    """Remove the folder, and before it the mounts that podman may have left on its storage."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    points = [line.split()[4] for line in mounts]
    for point in sorted((p for p in points if p.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", point], check=True)
    shutil.rmtree(folder)


def _document(
    name: str,
    samples: list[Sample],
    versions: Mapping[str, str],
    ended: datetime,
    arguments: argparse.Namespace,
) -> dict[str, object]:
    return {
        "benchmark": name,
        "ended": ended.isoformat(),
        "rounds": arguments.n,
        "seed": arguments.seed,
        "host": {
            "kernel": platform.release(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "load": os.getloadavg(),
            "python": platform.python_version(),
        },
        "versions": dict(versions),
        "samples": [asdict(sample) for sample in samples],
    }
