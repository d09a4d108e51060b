"""Make the picture and the table of docs/compare-engines.md again, from a real comparison.

It starts an engine of ours, a dockerd, a Podman service and a registry, all with folders of their
own, and ends them. As root, with docker.io, podman and docker-registry installed.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))
# The engine is a process of its own, and finds the package by this.
os.environ["PYTHONPATH"] = str(CHECKOUT)

import dockerlab as lab  # noqa: E402 - the path comes first
from dockerlab.report.plots import plot_runs  # noqa: E402
from tests.support.dockerd import running_dockerd  # noqa: E402
from tests.support.engine import EngineUnderTest  # noqa: E402
from tests.support.images import push_test_images  # noqa: E402
from tests.support.podman import running_podman  # noqa: E402
from tests.support.registry import running_registry  # noqa: E402

PAGE = CHECKOUT / "docs" / "compare-engines.md"
PICTURE = CHECKOUT / "docs" / "pictures" / "compare-engines.png"
BEGIN = "<!-- table: written by scripts/compare_engines.py -->\n"
END = "<!-- end of table -->\n"
PORT = 5000


@contextmanager
def three_engines(port: int) -> Iterator[tuple[list[str], str]]:
    """Give the addresses of three engines, and of a registry that all of them may use."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="compare-")))
        registry = stack.enter_context(running_registry(folder, port=port))
        push_test_images(registry.address)
        ours = EngineUnderTest()
        stack.callback(ours.close)
        ours.start()
        dockerd = stack.enter_context(running_dockerd())
        podman = stack.enter_context(running_podman([registry.address]))
        yield [ours.address, dockerd.address, podman.address], registry.address


def main() -> int:
    """Compare, and write the page's parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    # Odd, so that one of the runs is the median, and the panels have the numbers of the summary.
    parser.add_argument("-n", "--runs", type=int, default=15)
    parser.add_argument("--port", type=int, default=PORT, help="of the registry")
    options = parser.parse_args()
    with three_engines(options.port) as (engines, registry):
        df = lab.compare(
            "hello-world",
            engines=engines,
            registry=registry,
            runs=options.runs,
            on_message=print,
        )
    summary = df.lab.summary()
    PICTURE.parent.mkdir(exist_ok=True)
    plot_runs(df).savefig(PICTURE, dpi=120)
    facts = df.attrs
    told = (
        f"{facts['engine']}; {facts['cpus']} CPUs, Linux {facts['kernel']};"
        f" {facts['runs']} of each, seed {facts['seed']}, {facts['measured_at'][:10]}"
    )
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    text = f"{before}{BEGIN}```text\n{summary!r}\n```\n\nMeasured: {told}.\n{END}{after}"
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PICTURE.relative_to(CHECKOUT)} and the table of {PAGE.relative_to(CHECKOUT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
