"""Addresses for pods, given out as the CNI's host-local plugin does."""

from __future__ import annotations

import ipaddress


class HostLocal:
    """One node's range: the next free address after the last one given, so that an address is not reused at once.

    Args:
        network: The node's pod range; its first address is flannel's, its second cni0's, its last the broadcast.
    """

    def __init__(self, network: ipaddress.IPv4Network) -> None:
        self._network = network
        self._first, self._last = 2, network.num_addresses - 2
        self._previous = self._first - 1
        self._taken: set[int] = set()

    def allocate(self, wanted: str = "") -> str:
        """An address that nobody has: `wanted` if it is one, else the next.

        Raises:
            RuntimeError: All are taken; the words are host-local's.
        """
        offset = self._offset(wanted) if wanted else 0
        if self._first <= offset <= self._last and offset not in self._taken:
            self._taken.add(offset)
            return wanted
        size = self._last - self._first + 1
        for step in range(size):
            offset = self._first + (self._previous - self._first + 1 + step) % size
            if offset not in self._taken:
                self._taken.add(offset)
                self._previous = offset
                return str(self._network[offset])
        span = f"{self._network[self._first]}-{self._network[self._last]}"
        raise RuntimeError(f"no IP addresses available in range set: {span}")

    def release(self, address: str) -> None:
        """Give an address back."""
        self._taken.discard(self._offset(address))

    def _offset(self, address: str) -> int:
        return int(ipaddress.IPv4Address(address)) - int(self._network.network_address)
