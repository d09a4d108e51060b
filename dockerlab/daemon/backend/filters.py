"""Docker's filters, as they come from a query."""

from collections.abc import Mapping, Sequence

__all__ = ["Filters"]

# Key -> values, any of which must match; keys are joined by "and".
Filters = Mapping[str, Sequence[str]]
