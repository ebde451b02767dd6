"""Who holds a port."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from labctl.embedded.network.holders import Holder, who_listens

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs procfs")


@pytest.mark.parametrize("bound", ["127.77.30.1", "0.0.0.0"])
def test_own_process_is_named(bound: str) -> None:
    with socket.create_server((bound, 0)) as listening:
        port = listening.getsockname()[1]
        holder = who_listens("127.77.30.1", port)
        assert holder is not None
        assert (holder.address, holder.port, holder.pid) == (bound, port, os.getpid())
        assert f"(process {os.getpid()}, on {bound}:{port})" in str(holder)
        assert any("pytest" in argument for argument in holder.arguments)


def test_wildcard_of_ipv6_is_found() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listening:
        holder = who_listens("127.77.30.1", listening.getsockname()[1])
        assert holder is not None
        assert holder.pid == os.getpid()


def test_another_address_or_a_free_port_has_no_holder() -> None:
    with socket.create_server(("127.77.30.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert who_listens("127.77.30.2", port) is None
    assert who_listens("127.77.30.1", port) is None


def test_socket_of_another_user_is_reported_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    row = "   0: 010A1E7F:7918 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0"
    (tmp_path / "net" / "tcp").write_text(f"  sl  local_address …\n{row}\n")
    (tmp_path / "12" / "fd").mkdir(parents=True)
    assert who_listens("127.30.10.1", 31000, proc=tmp_path) == Holder("127.30.10.1", 31000)
    (tmp_path / "12" / "fd" / "3").symlink_to("socket:[4711]")
    (tmp_path / "12" / "comm").write_text("nginx\n")
    assert str(who_listens("127.30.10.1", 31000, proc=tmp_path)) == "nginx (process 12, on 127.30.10.1:31000)"


def test_without_procfs_nobody_is_named(tmp_path: Path) -> None:
    assert who_listens("127.0.0.1", 80, proc=tmp_path) is None
