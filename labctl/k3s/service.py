"""Starting k3s's service and watching it, with a deadline of labctl's own.

`systemctl restart` of a k3s that cannot join blocks for ever (its unit has no start timeout), so the start is not
waited for there: the state is looked at until it is up, is known not to heal, or the deadline passes.
"""

from __future__ import annotations

from dataclasses import dataclass

from labctl.env import Clock
from labctl.errors import WaitTimeoutError
from labctl.k3s import layout
from labctl.k3s.change import run_script
from labctl.k3s.journal import cause_of, shown
from labctl.k3s.plan import Start
from labctl.ssh.transport import HostError, HostTimeoutError, Transport
from labctl.waiting import Pending, wait_for

RESTARTS = 3
"""A service that systemd has started again so many times does not come up."""
FINAL_SECONDS = 3.0
"""How long a cause that does not heal must be seen before it is believed."""


_LOOK = """\
n=0
until [ "$(systemctl show %(unit)s.service -p ActiveState --value)" = active ] || [ $((n = n + 1)) -gt 5 ]; do
  sleep 0.15
done
systemctl show %(unit)s.service -p ActiveState -p NRestarts
[ $n -le 5 ] || journalctl -u %(unit)s.service --since '%(since)s' -n 60 --no-pager -q -o cat 2>/dev/null || true
"""
"""The host itself looks for most of a second and answers as soon as the service is up: no round trip is lost, and the
log is only read while it is not."""


@dataclass(frozen=True, slots=True)
class _State:
    active: str
    restarts: int
    journal: tuple[str, ...]


def begin(transport: Transport, start: Start) -> str:
    """(Re)start the service without waiting; returns the host's time, from when its log is read."""
    return run_script(
        transport,
        f"date '+%Y-%m-%d %H:%M:%S'\nsystemctl reset-failed {start.unit} 2>/dev/null || true\n"
        f"systemctl restart --no-block {start.unit}.service\n",
        f"starting {start.unit}",
    ).strip()


def wait_active(transport: Transport, unit: str, since: str, clock: Clock, *, timeout: float) -> None:
    """Wait until the service is up: a server's API answers then, an agent has joined.

    Raises:
        HostError: It does not come up, for a cause that waiting does not heal.
        HostTimeoutError: The deadline passed; carries the last lines of its log.
    """
    watch = _Watch(transport, unit, since, clock)
    try:
        wait_for(
            f"{unit} on {transport.host}", watch.observe, timeout=timeout, clock=clock, interval=0.01, max_interval=0.05
        )
    except WaitTimeoutError as late:
        raise watch.timed_out(timeout) from late
    run_script(transport, f"rm -f {layout.PENDING}\n", "clearing the mark of pending changes")


class _Watch:
    """Looks at a service again and again, and remembers since when it has been hopeless."""

    def __init__(self, transport: Transport, unit: str, since: str, clock: Clock) -> None:
        self._transport = transport
        self._unit = unit
        self._since = since
        self._clock = clock
        self._hopeless_since: float | None = None
        self._last = _State("unknown", 0, ())

    def observe(self) -> bool | Pending:
        state = self._last = self._look()
        if state.active == "active":
            return True
        cause = cause_of(state.journal)
        hopeless = state.restarts >= RESTARTS or (cause is not None and cause.final)
        now = self._clock.monotonic()
        if not hopeless:
            self._hopeless_since = None
        elif self._hopeless_since is None:
            self._hopeless_since = now
        elif now - self._hopeless_since >= FINAL_SECONDS or state.restarts >= RESTARTS:
            raise self._failed()
        return Pending(state.active)

    def _look(self) -> _State:
        unit = self._unit
        text = run_script(self._transport, _LOOK % {"unit": unit, "since": self._since}, f"looking at {unit}")
        lines = text.splitlines()
        states = dict(line.partition("=")[::2] for line in lines[:2])
        restarts = states.get("NRestarts", "0")
        return _State(
            states.get("ActiveState", "unknown"), int(restarts) if restarts.isdigit() else 0, tuple(lines[2:])
        )

    def _failed(self) -> HostError:
        cause = cause_of(self._last.journal)
        words = cause.words if cause else f"systemd has started it {self._last.restarts} times again"
        return HostError(
            self._transport.host,
            f"{self._unit} does not start: {words}; its log says:\n{shown(self._last.journal)}",
            hint=cause.hint if cause else f"`labctl node logs {self._transport.host}` shows more",
        )

    def timed_out(self, timeout: float) -> HostTimeoutError:
        cause = cause_of(self._last.journal)
        words = f": {cause.words}" if cause else ""
        log = f"; its log says:\n{shown(self._last.journal)}" if self._last.journal else ""
        return HostTimeoutError(
            self._transport.host,
            f"{self._unit} is not up after {timeout:g} s ({self._last.active}){words}{log}",
            hint=cause.hint if cause else "raise --timeout if the host is only slow",
        )
