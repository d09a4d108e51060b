"""How long does a cached hello-world take? Ours against dockerd, podman and crun, in turn.

``python benchmarks/run_latency.py [-n ROUNDS] [--seed SEED] [--json FILE] [--network NETWORK]``, as
root. On the network ``bridge``, ours is compared with dockerd's default bridge alone. Everything is
started here in folders of its own and ended here: a registry, a dockerd, our engine. All pull the
same image from that registry; each round runs every contender once, in an order drawn from the
seed. No sample is discarded; all are in the JSON file.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
if str(_ROOT) not in sys.path:  # as `python benchmarks/run_latency.py` leaves it
    sys.path.insert(0, str(_ROOT))

from benchmarks import turns  # noqa: E402 - needs the path
from benchmarks.command_line import Crun, Podman  # noqa: E402
from benchmarks.engine_api import EngineApi  # noqa: E402
from tests.corpus.pusher import HELLO, push  # noqa: E402
from tests.corpus.shelf import Shelf  # noqa: E402
from tests.support.dockerd import remove_cgroups, running_dockerd, why_no_dockerd  # noqa: E402
from tests.support.engine import EngineUnderTest  # noqa: E402
from tests.support.registry import running_registry  # noqa: E402

OURS = "dockerlab API"
PEER = "dockerd API"
_BRIDGE = "bridge"
# Of dockerd's bridge: none of those that ours chooses from first.
_SUBNET = "172.31.77.1/24"


def main() -> None:
    """Measure, print the table, save the samples."""
    parser = turns.parser(__doc__)
    parser.add_argument("--network", choices=("none", _BRIDGE), default="none")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("run it as root: dockerd and crun are compared as root runs them")
    turns.enter_own_mounts()
    with ExitStack() as stack:
        contenders, reference = _set_up(stack, arguments.dir, arguments.network)
        versions = {name: contender.version() for name, contender in contenders.items()}
        samples = turns.measure(contenders, reference, rounds=arguments.n, seed=arguments.seed)
    title = f"cached hello-world, network {arguments.network}"
    name = "latency" if arguments.network == "none" else f"latency-{arguments.network}"
    turns.report(name, title, samples, versions, arguments)


def _set_up(
    stack: ExitStack, where: Path | None, network: str
) -> tuple[dict[str, turns.Contender], str]:
    """Start a registry and the engines, pull the image everywhere; `stack` ends it all."""
    folder = Path(tempfile.mkdtemp(prefix="dl-bench-", dir=where))
    stack.callback(turns.remove, folder)
    stack.callback(remove_cgroups, folder.name)  # podman leaves its parent
    registry = stack.enter_context(running_registry(folder / "registry"))
    push(registry.address, HELLO, Shelf(folder / "corpus"))
    ours = EngineUnderTest(mirrors=[registry.url])
    stack.callback(ours.close)
    ours.start()
    contenders: dict[str, turns.Contender] = {OURS: EngineApi(ours.socket, network)}
    if reason := why_no_dockerd():
        print(f"without dockerd: {reason}")
    else:
        subnet = _SUBNET if network == _BRIDGE else ""
        dockerd = stack.enter_context(running_dockerd(subnet=subnet))
        contenders[PEER] = EngineApi(dockerd.socket, network)
    programs: dict[str, Callable[[Path], turns.Contender]] = {"podman": Podman, "crun": Crun}
    if network == _BRIDGE:
        programs = {}  # Their bridges are of other programs' making.
    for program, make in programs.items():
        if shutil.which(program) is None:
            print(f"without {program}: it is not installed")
        else:
            contenders[f"{program} run"] = make(folder / program)
    reference = f"{registry.address}/library/{HELLO}:latest"
    for contender in contenders.values():
        contender.pull(reference)
    return contenders, reference


if __name__ == "__main__":
    main()
