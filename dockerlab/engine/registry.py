"""What the engine is told for a registry, and what it knows of one: records only."""

from dockerlab.image.registry.credential import Credential
from dockerlab.image.registry.ratelimit import RateLimit
from dockerlab.image.registry.searching import SearchResult

__all__ = ["Credential", "RateLimit", "SearchResult"]
