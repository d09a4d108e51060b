"""What every simulated host has: the interpreter that the doctor runs under, and its report."""

from typing import Any

__all__ = ["PYTHON", "Report"]

# The distribution's own, which every user may execute.
PYTHON = "/usr/bin/python3"

Report = dict[str, Any]
