"""How long does a pull take? Ours against `docker pull`, `podman pull` and the limit, in turn.

``python benchmarks/pull.py [-n ROUNDS] [--disk] [--json FILE] [NAME…]``, as root. Every image of
`tests.corpus` comes from one registry on loopback into an empty store: on an ext4 in memory, or
with ``--disk`` on the disk of the temporary folder. The limit is what a shell can do with the same
blobs: for each layer, all at once, curl, igzip and tar, nothing checked, nothing kept but files.
Then the largest image is pulled once more, and meanwhile the engine's memory read, and pinged.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

_ROOT = Path(__file__).resolve().parents[1]
if str(_ROOT) not in sys.path:  # as `python benchmarks/pull.py` leaves it
    sys.path.insert(0, str(_ROOT))

from benchmarks import turns  # noqa: E402 - needs the path
from benchmarks.pullers import Docker, Limit, Podman, Puller, resident_bytes  # noqa: E402
from tests.corpus.pusher import HELLO, push  # noqa: E402
from tests.corpus.recipes import RECIPES  # noqa: E402
from tests.corpus.shelf import Shelf  # noqa: E402
from tests.support.dockerd import running_dockerd, why_no_dockerd  # noqa: E402
from tests.support.engine import EngineUnderTest  # noqa: E402
from tests.support.registry import running_registry  # noqa: E402

OURS, DOCKER, PODMAN, LIMIT = "dockerlab", "docker", "podman", "limit"
_CACHE = _ROOT / ".cache" / "corpus"
_MEMORY_BYTES = 6 << 30
_LARGEST = "bigfile"


def main() -> None:
    """Measure, print the tables, save the samples."""
    parser = turns.parser(__doc__)
    parser.set_defaults(n=3)
    parser.add_argument("--disk", action="store_true", help="on the disk instead of in memory")
    parser.add_argument("names", nargs="*", metavar="NAME", help="images; else all")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("run it as root: dockerd and podman are compared as root runs them")
    turns.enter_own_mounts()
    # dockerd refuses two entries of one name, which `oddities` has.
    names = arguments.names or [HELLO, *(name for name in RECIPES if name != "oddities")]
    with ExitStack() as stack:
        if not arguments.disk:
            tempfile.tempdir = str(stack.enter_context(_memory()))
        registry = stack.enter_context(running_registry(Path(tempfile.mkdtemp(dir="/dev/shm"))))
        stack.callback(shutil.rmtree, registry.root, ignore_errors=True)
        references = {n: push(registry.address, n, Shelf(_CACHE)).reference for n in names}
        ours = EngineUnderTest()
        stack.callback(ours.close)
        ours.start()
        contenders: dict[str, Puller] = {OURS: Docker(ours.address)}
        if reason := why_no_dockerd():
            print(f"without dockerd: {reason}")
        else:
            contenders[DOCKER] = Docker(stack.enter_context(running_dockerd()).address)
        folder = Path(tempfile.mkdtemp(prefix="b-"))
        stack.callback(turns.remove, folder)
        if shutil.which("podman"):
            contenders[PODMAN] = Podman(folder / "p")
        if all(map(shutil.which, ("curl", "igzip", "tar"))):
            contenders[LIMIT] = Limit(folder / "limit")
        times = _measure(contenders, references, arguments.n)
        print(_table(times))
        if arguments.json:
            arguments.json.write_text(json.dumps(times, indent=1), encoding="utf-8")
        if _LARGEST in references:
            print(_watched(ours, contenders[OURS], references[_LARGEST]))


@contextmanager
def _memory() -> Iterator[Path]:
    """Give an ext4 on a file in memory; its mount is in our own namespace, and goes with it."""
    place = Path(tempfile.mkdtemp(prefix="dl-pull-", dir="/dev/shm"))
    # A short path: podman wants that of its state below 50 bytes.
    disk, top = place / "disk", Path(tempfile.mkdtemp(prefix="m-"))
    with disk.open("wb") as file:
        file.truncate(_MEMORY_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(disk)], check=True)
    subprocess.run(["mount", "-o", "loop", str(disk), str(top)], check=True)
    try:
        yield top
    finally:
        subprocess.run(["umount", str(top)], check=True)
        top.rmdir()
        shutil.rmtree(place)


def _measure(
    contenders: dict[str, Puller], references: dict[str, str], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Return the seconds by image and contender; each round begins with another contender."""
    times: dict[str, dict[str, list[float]]] = {}
    for image, reference in references.items():
        times[image] = {name: [] for name in contenders}
        for number in range(rounds):
            names = list(contenders)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                contenders[name].empty()
                os.sync()
                begin = time.perf_counter()
                contenders[name].pull(reference)
                times[image][name].append(time.perf_counter() - begin)
                contenders[name].empty()
    return times


def _table(times: dict[str, dict[str, list[float]]]) -> str:
    """Return medians in seconds, and how many times ours each of the others took."""
    names = list(next(iter(times.values())))
    medians = {image: {n: median(t) for n, t in each.items()} for image, each in times.items()}
    medians["sum"] = {n: sum(each[n] for each in medians.values()) for n in names}
    lines = [f"| image | {' | '.join(names)} | {' | '.join(f'{n} / ours' for n in names[1:])} |"]
    lines.append("|---" * (2 * len(names)) + "|")
    for image, each in medians.items():
        cells = [f"{each[n]:.2f}" for n in names]
        cells += [f"{each[n] / each[OURS]:.2f}" for n in names[1:]]
        lines.append(f"| {image} | {' | '.join(cells)} |")
    return "\n".join([f"load {os.getloadavg()[0]:.1f}, seconds, medians", "", *lines])


def _watched(engine: EngineUnderTest, puller: Puller, reference: str) -> str:
    """Pull with the engine watched; return what its memory and its pings were."""
    client = engine.connect()
    idle, ended = resident_bytes(engine.pid), threading.Event()
    sizes: list[int] = []
    pings: list[float] = []

    def watch(act: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            while not ended.is_set():
                act()
                time.sleep(0.02)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def ping() -> None:
        begin = time.perf_counter()
        client.ping()
        pings.append(time.perf_counter() - begin)

    threads = [watch(lambda: sizes.append(resident_bytes(engine.pid))), watch(ping)]
    puller.pull(reference)
    ended.set()
    for thread in threads:
        thread.join()
    puller.empty()
    over = (max(sizes) - idle) / 1e6
    late = sorted(pings)[int(len(pings) * 0.99)] * 1e3
    return (
        f"\nduring a pull of {_LARGEST}: {over:.0f} MB over idle; pings median "
        f"{median(pings) * 1e3:.1f} ms, 99th percentile {late:.1f} ms of {len(pings)}"
    )


if __name__ == "__main__":
    main()
