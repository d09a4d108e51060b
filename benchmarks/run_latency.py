"""How long does a cached hello-world take? Ours against dockerd, podman and crun, in turn.

``python benchmarks/run_latency.py [-n ROUNDS] [--seed SEED] [--json FILE]``, as root. Everything is
started here in folders of its own and ended here: a registry, a dockerd, our engine. All pull the
same image from that registry; each round runs every contender once, in an order drawn from the
seed. No sample is discarded; all are in the JSON file.
"""

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

_ROOT = Path(__file__).resolve().parents[1]
if str(_ROOT) not in sys.path:  # as `python benchmarks/run_latency.py` leaves it
    sys.path.insert(0, str(_ROOT))

from benchmarks.command_line import Crun, Podman  # noqa: E402 - needs the path
from benchmarks.engine_api import EngineApi  # noqa: E402
from dockerlab.report.statistics import median_interval, ratio_interval  # noqa: E402
from tests.corpus.pusher import HELLO, push  # noqa: E402
from tests.corpus.shelf import Shelf  # noqa: E402
from tests.support.dockerd import remove_cgroups, running_dockerd, why_no_dockerd  # noqa: E402
from tests.support.engine import EngineUnderTest  # noqa: E402
from tests.support.registry import running_registry  # noqa: E402

OURS = "dockerlab API"
PEER = "dockerd API"
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


def main() -> None:
    """Measure, print the table, save the samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=30, metavar="ROUNDS", help="runs of each contender")
    parser.add_argument("--seed", type=int, default=1, help="of the order and of the intervals")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the samples go")
    parser.add_argument("--dir", type=Path, help="where the engines' folders are made")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("run it as root: dockerd and crun are compared as root runs them")
    _enter_own_mounts()
    started = datetime.now(UTC)
    with ExitStack() as stack:
        contenders, reference = _set_up(stack, arguments.dir)
        versions = {name: contender.version() for name, contender in contenders.items()}
        samples = measure(contenders, reference, rounds=arguments.n, seed=arguments.seed)
    target = arguments.json or _ROOT / f"benchmarks/results/latency-{started:%Y%m%dT%H%M%SZ}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    document = _document(samples, versions, started, arguments.n, arguments.seed)
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(table(samples, versions, seed=arguments.seed))
    print(f"\nsamples: {target}")


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


def table(samples: list[Sample], versions: Mapping[str, str], *, seed: int) -> str:
    """Return medians with their intervals, and what each takes in multiples of ours."""
    times = {name: [s.duration_s for s in samples if s.contender == name] for name in versions}
    rounds = len(times[OURS])
    lines = [
        f"cached hello-world, network none, {rounds} runs each in turn (95 % intervals)",
        "",
        f"{'':26} {'min':>8} {'median ms':>26} {'ratio to ' + OURS:>26}",
    ]
    for name, taken in sorted(times.items(), key=lambda item: sorted(item[1])[rounds // 2]):
        median = median_interval([value * 1e3 for value in taken], seed=seed)
        ratio = ratio_interval(taken, times[OURS], seed=seed)
        lines.append(
            f"{name + ' ' + versions[name]:26.26} {min(taken) * 1e3:8.1f} "
            f"{f'{median.estimate:.1f} ({median.low:.1f} to {median.high:.1f})':>26} "
            f"{f'{ratio.estimate:.2f} ({ratio.low:.2f} to {ratio.high:.2f})':>26}"
        )
    return "\n".join([*lines, "", *_phase_lines(samples)])


def _phase_lines(samples: list[Sample]) -> list[str]:
    lines = []
    for name in (OURS, PEER):
        runs = [sample.phases for sample in samples if sample.contender == name]
        if runs:
            medians = {
                phase: median_interval([run[phase] * 1e3 for run in runs]).estimate
                for phase in runs[0]
            }
            parts = ", ".join(f"{phase} {value:.1f}" for phase, value in medians.items())
            lines.append(f"{name}, median ms: {parts}")
    return lines


def _set_up(stack: ExitStack, where: Path | None) -> tuple[dict[str, Contender], str]:
    """Start a registry and the engines, pull the image everywhere; `stack` ends it all."""
    folder = Path(tempfile.mkdtemp(prefix="dl-bench-", dir=where))
    stack.callback(_remove, folder)
    stack.callback(remove_cgroups, folder.name)  # podman leaves its parent
    registry = stack.enter_context(running_registry(folder / "registry"))
    push(registry.address, HELLO, Shelf(folder / "corpus"))
    ours = EngineUnderTest(mirrors=[registry.url])
    stack.callback(ours.close)
    ours.start()
    contenders: dict[str, Contender] = {OURS: EngineApi(ours.socket)}
    if reason := why_no_dockerd():
        print(f"without dockerd: {reason}")
    else:
        contenders[PEER] = EngineApi(stack.enter_context(running_dockerd()).socket)
    programs: dict[str, Callable[[Path], Contender]] = {"podman": Podman, "crun": Crun}
    for program, make in programs.items():
        if shutil.which(program) is None:
            print(f"without {program}: it is not installed")
        else:
            contenders[f"{program} run"] = make(folder / program)
    reference = f"{registry.address}/library/{HELLO}:latest"
    for contender in contenders.values():
        contender.pull(reference)
    return contenders, reference


def _enter_own_mounts() -> None:
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


def _remove(folder: Path) -> None:
    """Remove the folder, and before it the mounts that podman may have left on its storage."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    points = [line.split()[4] for line in mounts]
    for point in sorted((p for p in points if p.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", point], check=True)
    shutil.rmtree(folder)


def _document(
    samples: list[Sample], versions: Mapping[str, str], started: datetime, rounds: int, seed: int
) -> dict[str, object]:
    return {
        "benchmark": "run_latency",
        "started": started.isoformat(),
        "rounds": rounds,
        "seed": seed,
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


if __name__ == "__main__":
    main()
