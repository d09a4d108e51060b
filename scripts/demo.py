"""The main job, headless: execute the first notebook, show its two runs, its table and its plot.

The engine it uses is its own, on a root in this checkout: it begins empty, so the first run is
cold, and it is ended and removed afterwards. Cells say by their tags what they are for:
``demo-run`` and ``demo-table`` are printed, ``demo-plot`` is written as a PNG.
"""

import base64
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

CHECKOUT = Path(__file__).resolve().parents[1]
NOTEBOOK = CHECKOUT / "notebooks" / "01-hello-world.ipynb"
PLOT = CHECKOUT / "demo" / "hello-world.png"
CELL_TIMEOUT_S = 300


def main() -> int:
    """Run the demonstration; return the exit status."""
    print(f"executing {NOTEBOOK.relative_to(CHECKOUT)} with an engine of its own")
    with own_engine(CHECKOUT / ".demo"):
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT_S,
            resources={"metadata": {"path": str(NOTEBOOK.parent)}},
            extra_arguments=["--log-level=ERROR"],  # no advice about its sockets
        )
        try:
            client.execute()
        except CellExecutionError as exc:
            print(exc, file=sys.stderr)
            print("the notebook stopped at this cell; see .demo/engine.log", file=sys.stderr)
            return 1
    for cell in notebook.cells:
        show(cell)
    print(f"\nThe plot is in {PLOT.relative_to(CHECKOUT)}.")
    print(f"Open the notebook in JupyterLab:  make lab  ({NOTEBOOK.relative_to(CHECKOUT)})")
    return 0


@contextlib.contextmanager
def own_engine(base: Path) -> Iterator[None]:
    """Let whatever the block starts use an empty data root under `base`; end its engine after."""
    root = base / "root"
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir()
    os.environ["DOCKERLAB_ROOT"] = str(root)
    os.environ.pop("DOCKERLAB_SOCKET", None)
    os.environ.pop("DOCKER_HOST", None)
    # The notebook's kernel is this environment's, whatever else is installed for the user.
    os.environ["JUPYTER_PATH"] = str(Path(sys.prefix) / "share" / "jupyter")
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        yield
    finally:
        command = [sys.executable, "-m", "dockerlab", "engine", "stop"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        with contextlib.suppress(OSError):
            shutil.copy(root / "engine.log", base / "engine.log")
        shutil.rmtree(root, ignore_errors=True)


def show(cell: Any) -> None:
    """Print a cell with what it gave, or write its plot, as its tags say."""
    tags = set(cell.metadata.get("tags", ()))
    if cell.cell_type != "code" or not tags & {"demo-run", "demo-table", "demo-plot"}:
        return
    if "demo-plot" in tags:
        for output in cell.outputs:
            if png := output.get("data", {}).get("image/png"):
                PLOT.parent.mkdir(exist_ok=True)
                PLOT.write_bytes(base64.b64decode(png))
        return
    print(f"\nIn [{cell.execution_count}]: {cell.source}")
    for output in cell.outputs:
        text = output.get("text") or output.get("data", {}).get("text/plain", "")
        print("".join(text).rstrip("\n"))


if __name__ == "__main__":
    sys.exit(main())
