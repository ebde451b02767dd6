from __future__ import annotations

import threading

import pytest

from labctl.errors import LabctlError
from labctl.ssh.fleet import HostsError, each
from labctl.ssh.transport import HostError, HostTimeoutError
from labctl.status import ExitStatus


def test_hosts_are_worked_on_at_the_same_time() -> None:
    together = threading.Barrier(8, timeout=10)

    def work(host: str) -> str:
        together.wait()  # passes only when all eight are inside at once
        return host.upper()

    names = {f"w{number}": f"w{number}" for number in range(8)}
    assert each(names, work).all() == {name: name.upper() for name in names}


def test_a_host_that_fails_is_a_value_beside_the_others() -> None:
    def work(host: str) -> str:
        if host == "b":
            raise HostError("b", "no route to host", hint="is it up?")
        return host

    results = each({"a": "a", "b": "b", "c": "c"}, work)
    assert results.succeeded == {"a": "a", "c": "c"}
    with pytest.raises(HostsError) as caught:
        results.all()
    assert caught.value.message == "b: no route to host"
    assert caught.value.hint == "is it up?"
    assert caught.value.exit_status is ExitStatus.UNREACHABLE


def test_several_failures_are_all_named_each_with_its_remedy() -> None:
    def work(host: str) -> str:
        raise HostTimeoutError(host, "too late", hint=f"wake {host}")

    with pytest.raises(HostsError) as caught:
        each({"a": "a", "b": "b"}, work).all()
    assert caught.value.message.splitlines() == [
        "2 of 2 hosts failed:",
        "  a: too late",
        "    hint: wake a",
        "  b: too late",
        "    hint: wake b",
    ]
    assert caught.value.exit_status is ExitStatus.DEADLINE


def test_a_programming_mistake_is_not_taken_for_a_hosts_failure() -> None:
    def work(host: str) -> str:
        raise KeyError(host)

    with pytest.raises(KeyError):
        each({"a": "a"}, work)


def test_nothing_to_do_is_no_error() -> None:
    assert each({}, LabctlError).all() == {}
