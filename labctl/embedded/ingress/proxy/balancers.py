"""Balancing, as the controller's Lua code does it, once per nginx worker.

Sources: rootfs/etc/nginx/lua/balancer of ingress-nginx 1.11.2 and lua-resty-balancer.
"""

from __future__ import annotations

import bisect
import hashlib
import math
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from labctl.embedded.ingress.model import Backend
from labctl.embedded.ingress.proxy.variables import Template

_POINTS = 160
_DECAY_SECONDS = 10.0
_STICKY_TRIES = 20


class Asking(Protocol):
    """What a balancer may know of the request it balances."""

    @property
    def tried(self) -> Collection[str]:
        """Peers that were tried before."""

    @property
    def failed(self) -> bool:
        """Whether this is not the first try."""

    def cookie(self, name: str) -> str | None:
        """Value of a cookie; its name in this very case."""

    def evaluate(self, template: Template) -> str:
        """A text with variables."""

    def stick(self, backend: Backend, value: str) -> None:
        """Set the affinity cookie of a backend, where its rules say so."""


@dataclass(slots=True)
class SharedState:
    """What all workers share: nginx's shared memory.

    Attributes:
        ewma: Per peer its average response time (seconds) and when it was updated last.
        starts: Per backend its peers, and where the last worker's round robin began.
    """

    ewma: dict[str, tuple[float, float]] = field(default_factory=dict)
    starts: dict[str, tuple[tuple[str, ...], int]] = field(default_factory=dict)

    def next_start(self, backend: str, peers: tuple[str, ...], random: Random) -> int:
        """Where a worker's round robin begins: the first at random, every further one a step behind the one before.

        So workers that get requests in turn do not all favour the same peer with the remainder.
        """
        known, last = self.starts.get(backend, ((), 0))
        start = (last - 1) % len(peers) if known == peers else random.randrange(len(peers))
        self.starts[backend] = (peers, start)
        return start


class Balancer:
    """Base of all: knows its backend, and replaces its nodes when they change."""

    name = ""

    def __init__(self, backend: Backend, random: Random, shared: SharedState, pid: int) -> None:
        self.backend = backend
        self.random = random
        self.shared = shared
        self.pid = pid
        self.peers: tuple[str, ...] = ()
        self._set_peers(_peers(backend))

    def sync(self, backend: Backend) -> None:
        """Take over a new version of the backend; where the peers are the same, their state stays."""
        self.backend = backend
        peers = _peers(backend)
        if set(peers) != set(self.peers):
            self._set_peers(peers)

    def _set_peers(self, peers: tuple[str, ...]) -> None:
        self.peers = peers

    def is_affinitized(self, asking: Asking) -> bool:
        """Whether the request carries a cookie that ties it to this backend."""
        return False

    def balance(self, asking: Asking, now: float) -> str | None:
        """The peer (`address:port`) for the next try."""
        raise NotImplementedError

    def observed(self, peer: str, seconds: float, now: float) -> None:
        """Learn how long the last try took, connecting included."""


def _peers(backend: Backend) -> tuple[str, ...]:
    return tuple(dict.fromkeys(endpoint.peer for endpoint in backend.endpoints))


class RoundRobin(Balancer):
    """One after the other, from a random start."""

    name = "round_robin"

    def _set_peers(self, peers: tuple[str, ...]) -> None:
        self.peers = peers
        self._last = self.shared.next_start(self.backend.name, peers, self.random) if peers else 0

    def balance(self, asking: Asking, now: float) -> str | None:
        """The one after the last."""
        self._last = (self._last + 1) % len(self.peers)
        return self.peers[self._last]


class Ring:
    """Consistent hashing with 160 points per node, after lua-resty-chash."""

    def __init__(self, nodes: Sequence[str]) -> None:
        points: list[tuple[int, str]] = []
        for node in nodes:
            base, point = zlib.crc32(node.encode()), 0
            for _ in range(_POINTS):
                point = zlib.crc32(point.to_bytes(4, "little"), base)
                points.append((point, node))
        points.sort()
        self._hashes = [point for point, _ in points]
        self._nodes = [node for _, node in points]

    def find(self, key: str) -> str:
        """The node for a key (latin-1 text)."""
        index = bisect.bisect_left(self._hashes, zlib.crc32(key.encode("latin-1", "replace")))
        return self._nodes[index % len(self._nodes)]


class ConsistentHash(Balancer):
    """By `upstream-hash-by`."""

    name = "chash"

    def _set_peers(self, peers: tuple[str, ...]) -> None:
        self.peers = peers
        self._ring = Ring(peers)
        self._template = Template(self.backend.hash_by.by)

    def balance(self, asking: Asking, now: float) -> str | None:
        """The peer its key hashes to, however often it was tried."""
        return self._ring.find(asking.evaluate(self._template))


class ConsistentHashSubset(Balancer):
    """By `upstream-hash-by` to a set of peers, at random within it."""

    name = "chashsubset"

    def _set_peers(self, peers: tuple[str, ...]) -> None:
        self.peers = peers
        size = self.backend.hash_by.subset_size
        count = math.ceil(len(peers) / size)
        filled = [*peers, *peers[: count * size - len(peers)]]
        while len(filled) < count * size:
            filled.append(peers[len(filled) % len(peers)])
        self._sets = {f"set{number + 1}": filled[number * size : (number + 1) * size] for number in range(count)}
        self._ring = Ring(list(self._sets))
        self._template = Template(self.backend.hash_by.by)

    def balance(self, asking: Asking, now: float) -> str | None:
        """A random peer of the set its key hashes to."""
        return self.random.choice(self._sets[self._ring.find(asking.evaluate(self._template))])


class Sticky(Balancer):
    """By cookie: the base of both affinity modes."""

    def _set_peers(self, peers: tuple[str, ...]) -> None:
        self.peers = peers
        name = self.backend.name
        first = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
        self._key = hashlib.md5((first + name).encode(), usedforsecurity=False).hexdigest()

    def is_affinitized(self, asking: Asking) -> bool:
        """Whether the cookie names this backend."""
        value = asking.cookie(self.backend.affinity.cookie.name or "route")
        return value is not None and value.partition("|")[2].partition("|")[0] == self._key

    def balance(self, asking: Asking, now: float) -> str | None:
        """The peer of the cookie; a new one without it, or after a failure when the cookie may change."""
        cookie = self.backend.affinity.cookie
        value = asking.cookie(cookie.name or "route")
        known = self._find(value.partition("|")[0]) if value else None
        if known is not None and not (asking.failed and cookie.change_on_failure):
            return known
        peer, key = self._pick(asking.tried, now)
        if peer is not None:
            asking.stick(self.backend, f"{key}|{self._key}")
        return peer

    def _find(self, key: str) -> str | None:
        raise NotImplementedError

    def _pick(self, tried: Collection[str], now: float) -> tuple[str | None, str]:
        raise NotImplementedError


class StickyBalanced(Sticky):
    """The cookie is a hash key, so new pods take over some clients."""

    name = "sticky_balanced"

    def _set_peers(self, peers: tuple[str, ...]) -> None:
        super()._set_peers(peers)
        self._ring = Ring(peers)

    def _find(self, key: str) -> str | None:
        return self._ring.find(key)

    def _pick(self, tried: Collection[str], now: float) -> tuple[str | None, str]:
        for attempt in range(1, _STICKY_TRIES + 1):
            key = f"{round(now, 3) + attempt:.14g}.{self.pid}.{self.random.randint(1, 999999)}"
            peer = self._ring.find(key)
            if peer not in tried:
                return peer, key
        return None, ""


class StickyPersistent(Sticky):
    """The cookie names the pod, as a salted hash, so clients never move while it lives."""

    name = "sticky_persistent"

    def _set_peers(self, peers: tuple[str, ...]) -> None:
        super()._set_peers(peers)
        salt = self.backend.name
        self._map = {hashlib.md5((salt + peer).encode(), usedforsecurity=False).hexdigest(): peer for peer in peers}

    def _find(self, key: str) -> str | None:
        return self._map.get(key)

    def _pick(self, tried: Collection[str], now: float) -> tuple[str | None, str]:
        choices = [(peer, key) for key, peer in self._map.items() if peer not in tried]
        return self.random.choice(choices) if choices else (None, "")


class Ewma(Balancer):
    """The better of two random peers by a moving average of their response times."""

    name = "ewma"

    def _set_peers(self, peers: tuple[str, ...]) -> None:
        known = [self.shared.ewma[peer][0] for peer in peers if peer in self.shared.ewma]
        for gone in set(self.peers) - set(peers):
            self.shared.ewma.pop(gone, None)
        if self.peers and known:
            # A newcomer starts with the average of the others, or it would get everything at once.
            for peer in set(peers) - set(self.peers):
                self.shared.ewma[peer] = (sum(known) / len(known), self._now)
        self.peers = peers

    _now = 0.0

    def balance(self, asking: Asking, now: float) -> str | None:
        """Two at random of those not tried yet; the lower average gets the request."""
        self._now = now
        if len(self.peers) == 1:
            return self.peers[0]
        candidates = [peer for peer in self.peers if peer not in asking.tried] or list(self.peers)
        pair = self.random.sample(candidates, min(2, len(candidates)))
        return min(pair, key=lambda peer: self._score(peer, 0.0, now))

    def _score(self, peer: str, seconds: float, now: float) -> float:
        average, touched = self.shared.ewma.get(peer, (0.0, 0.0))
        weight = math.exp(-max(0.0, now - touched) / _DECAY_SECONDS)
        return average * weight + seconds * (1.0 - weight)

    def observed(self, peer: str, seconds: float, now: float) -> None:
        """Move the average of the peer."""
        self.shared.ewma[peer] = (self._score(peer, seconds, now), now)


_BY_NAME: dict[str, type[Balancer]] = {
    kind.name: kind
    for kind in (RoundRobin, ConsistentHash, ConsistentHashSubset, StickyBalanced, StickyPersistent, Ewma)
}


def implementation(backend: Backend) -> type[Balancer]:
    """Which algorithm a backend gets: affinity, then hashing, then `load-balance`; unknown names are round robin."""
    if backend.affinity.type == "cookie":
        return StickyPersistent if backend.affinity.mode == "persistent" else StickyBalanced
    if backend.hash_by.by:
        return ConsistentHashSubset if backend.hash_by.subset else ConsistentHash
    return _BY_NAME.get(backend.load_balance, RoundRobin)


def synced(
    balancer: Balancer | None, backend: Backend, random: Random, shared: SharedState, pid: int
) -> Balancer | None:
    """A worker's balancer for a new version of a backend: the old one with new nodes, or a new one.

    Args:
        balancer: What the worker has for it.
        backend: The new version; without endpoints there is no balancer, and requests get 503.
        random: The worker's random numbers.
        shared: State shared by workers.
        pid: The worker's process id, part of affinity cookies.
    """
    if not backend.endpoints:
        return None
    kind = implementation(backend)
    if type(balancer) is not kind:
        return kind(backend, random, shared, pid)
    if balancer.backend is not backend:
        balancer.sync(backend)
    return balancer
