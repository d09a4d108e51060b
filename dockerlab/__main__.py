"""`python -m dockerlab`: the same as the `dockerlab` command."""

import sys

from dockerlab.cli import main

if __name__ == "__main__":
    sys.exit(main())
