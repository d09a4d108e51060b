"""Which names mean which addresses, network by network. Pure.

A container asks with the networks that it is on; a name is found on any of them, and a name that
several containers share gives all their addresses, each time in another order.
"""

from collections.abc import Iterable

from dockerlab.network.pools import Address

__all__ = ["Names"]


class Names:
    """Names of endpoints. Lookups may come from another thread than changes."""

    def __init__(self) -> None:
        # Values are replaced, never changed: a reader sees one or the other.
        self._by_name: dict[tuple[str, str], tuple[Address, ...]] = {}
        self._by_address: dict[tuple[str, Address], str] = {}
        self._turn = 0

    def add(self, network: str, names: Iterable[str], addresses: Iterable[Address]) -> None:
        """Register an endpoint; the first name is what its addresses are called."""
        own, addresses = [_key(name) for name in names], tuple(addresses)
        for name in own:
            known = self._by_name.get((network, name), ())
            self._by_name[network, name] = (*known, *(a for a in addresses if a not in known))
        if own:
            self._by_address.update(((network, address), own[0]) for address in addresses)

    def remove(self, network: str, names: Iterable[str], addresses: Iterable[Address]) -> None:
        """Forget an endpoint; what others have under the same names stays."""
        gone = set(addresses)
        for name in names:
            key = network, _key(name)
            left = tuple(a for a in self._by_name.pop(key, ()) if a not in gone)
            if left:
                self._by_name[key] = left
        for address in gone:
            self._by_address.pop((network, address), None)

    def addresses(self, networks: Iterable[str], name: str) -> list[Address] | None:
        """Return the addresses of a name, another one first each time; None for an unknown name."""
        key = _key(name)
        found = [a for network in networks for a in self._by_name.get((network, key), ())]
        if not found:
            return None
        self._turn += 1
        first = self._turn % len(found)
        return found[first:] + found[:first]

    def name_of(self, networks: Iterable[str], address: Address) -> str | None:
        """Return the name of an address on any of the networks."""
        found = (self._by_address.get((network, address)) for network in networks)
        return next((name for name in found if name), None)


def _key(name: str) -> str:
    # RFC 4343: case does not count; the last dot is the root's.
    return name.lower().rstrip(".")
