"""Write docs/compat.md: ``python -m tests.compat``."""

from pathlib import Path

from tests.compat.differences import PAGE, page
from tests.compat.session import step_names

if __name__ == "__main__":
    path = Path(__file__).parents[2] / PAGE
    path.write_text(page(len(step_names())), encoding="utf-8")
