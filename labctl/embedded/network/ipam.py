"""Pod addresses of one node, handed out as CNI's host-local plugin does: onwards from the last one, then around."""

from __future__ import annotations

import ipaddress


class AddressRange:
    """The free and taken addresses of one /24; .0 is the network, .1 the bridge."""

    def __init__(self, network: ipaddress.IPv4Network) -> None:
        self._hosts = [str(address) for address in network.hosts()][1:]
        self._taken: set[str] = set()
        self._next = 0

    def take(self, wanted: str = "") -> str:
        """An address; `wanted` when that is free.

        Raises:
            RuntimeError: All are taken.
        """
        if wanted in self._hosts and wanted not in self._taken:
            self._taken.add(wanted)
            return wanted
        for offset in range(len(self._hosts)):
            address = self._hosts[(self._next + offset) % len(self._hosts)]
            if address not in self._taken:
                self._next = (self._next + offset + 1) % len(self._hosts)
                self._taken.add(address)
                return address
        raise RuntimeError("no IP addresses available in range")

    def give_back(self, address: str) -> None:
        """Free an address."""
        self._taken.discard(address)
