"""sd_notify(3), and the name that the process goes by."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def ready() -> None:
    """Tell systemd that the service is up."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)


def named(name: str) -> None:
    """What `ss` and `ps` show."""
    Path("/proc/self/comm").write_text(name)
