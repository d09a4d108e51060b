"""Write docs/isolation.md: ``python -m tests.isolation``."""

from pathlib import Path

from tests.isolation.differences import PAGE, page
from tests.isolation.inside import CALLS
from tests.isolation.measuring import FACTS

if __name__ == "__main__":
    path = Path(__file__).parents[2] / PAGE
    path.write_text(page(FACTS, len(CALLS)), encoding="utf-8")
