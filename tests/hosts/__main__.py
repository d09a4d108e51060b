"""Write docs/hosts.md: ``python -m tests.hosts``, as root."""

import sys

from tests.hosts.page import PAGE, page
from tests.hosts.simulated import HOSTS, examine

if __name__ == "__main__":
    PAGE.write_text(page({name: examine(name) for name in HOSTS}), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
