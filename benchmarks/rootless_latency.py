"""How long does a cached hello-world take without root? Ours against rootless podman, in turn.

``python benchmarks/rootless_latency.py [-n ROUNDS] [--seed SEED] [--json FILE]``, as root, which
makes the unprivileged user that all of it runs as, with ranges of sub-ids. Podman has crun, storage
on native overlay, and two rows: with network none as ours, and with its own default, slirp4netns.
"""

import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
if str(_ROOT) not in sys.path:  # as `python benchmarks/rootless_latency.py` leaves it
    sys.path.insert(0, str(_ROOT))

from benchmarks import turns  # noqa: E402 - needs the path
from benchmarks.command_line import DockerCli, Podman  # noqa: E402
from benchmarks.engine_api import EngineApi  # noqa: E402
from tests.corpus.pusher import HELLO, push  # noqa: E402
from tests.corpus.shelf import Shelf  # noqa: E402
from tests.support.accounts import unprivileged_account  # noqa: E402
from tests.support.engine import EngineUnderTest  # noqa: E402
from tests.support.registry import running_registry  # noqa: E402

PROGRAMS = ("podman", "crun", "slirp4netns", "newuidmap", "docker")


def main() -> None:
    """Measure, print the table, save the samples."""
    arguments = turns.parser(__doc__).parse_args()
    if os.geteuid() != 0:
        sys.exit("run it as root: it makes the unprivileged user that it measures as")
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        sys.exit(f"install {', '.join(missing)} first")
    turns.enter_own_mounts()
    with ExitStack() as stack:
        contenders, reference = _set_up(stack, arguments.dir)
        versions = {name: contender.version() for name, contender in contenders.items()}
        samples = turns.measure(contenders, reference, rounds=arguments.n, seed=arguments.seed)
    turns.report("rootless", "cached hello-world without root", samples, versions, arguments)


def _set_up(stack: ExitStack, where: Path | None) -> tuple[dict[str, turns.Contender], str]:
    """Start a registry and the engine, pull the image everywhere; `stack` ends it all."""
    folder = Path(tempfile.mkdtemp(prefix="dl-bench-", dir=where))
    folder.chmod(0o755)
    stack.callback(turns.remove, folder)
    registry = stack.enter_context(running_registry(folder / "registry"))
    push(registry.address, HELLO, Shelf(folder / "corpus"))
    # Leaving it ends what is left of the user's processes: podman keeps one for its namespace.
    account = stack.enter_context(unprivileged_account(has_sub_ids=True))
    ours = EngineUnderTest(mirrors=[registry.url], account=account)
    stack.callback(ours.close)
    ours.start()
    podman = folder / "podman"
    contenders: dict[str, turns.Contender] = {
        "dockerlab API": EngineApi(ours.socket),
        "docker run on dockerlab": DockerCli(ours.address),
        "podman run, no network": Podman(podman, account=account),
        "podman run": Podman(podman, account=account, network=""),
    }
    reference = f"{registry.address}/library/{HELLO}:latest"
    for contender in contenders.values():
        contender.pull(reference)
    return contenders, reference


if __name__ == "__main__":
    main()
