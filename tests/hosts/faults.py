"""Ways to break a host, each undone by `reset`. Real faults: full disks, cut links, a clock that is wrong."""

from __future__ import annotations

from tests.hosts.host import Host

_UNDO = r"""
set +e
rm -f /etc/ld.so.preload
iptables -F INPUT
ip link set host0 up
ip route replace default via 192.168.10.1
hostname "$(cat /etc/hostname)"
for unit in $(cd /etc/systemd/system; ls -d k3s*.service 2>/dev/null) port-taken.service; do
  systemctl kill --signal=KILL "$unit" 2>/dev/null
  systemctl stop "$unit" 2>/dev/null
  systemctl disable --quiet "$unit" 2>/dev/null
done
systemctl start ssh
mounts() { awk '$2 ~ "^(/usr/local|/var/lib/rancher)" { print $2 }' /proc/self/mounts; }
for mount in $(mounts); do umount -l "$mount"; done
rm -rf /etc/systemd/system/k3s* /etc/default/k3s* /etc/rancher /var/lib/rancher /usr/local/bin/* /run/k3s /var/lib/kubelet
systemctl daemon-reload
systemctl reset-failed
exit 0
"""


def reset(host: Host) -> None:
    """Undo every fault, and take away everything that k3s or labctl put there."""
    host.shell(_UNDO)


def full_disk(host: Host, path: str, size: str = "4m") -> None:
    """A small file system at a path."""
    host.shell(f"mkdir -p {path}; mount -t tmpfs -o size={size},mode=755 tmpfs {path}")


def read_only(host: Host, path: str) -> None:
    """A path that root cannot write either."""
    host.shell(f"mount --bind {path} {path}; mount -o remount,ro,bind {path}")


def unplugged(host: Host) -> None:
    """No packet comes or goes."""
    host.shell("ip link set host0 down")


def port_taken(host: Host, port: int) -> None:
    """Another program listens there."""
    host.shell(f"systemd-run --quiet --unit=port-taken python3 -m http.server {port}")
    host.shell(f"for i in $(seq 50); do ss -ltnH 'sport = :{port}' | grep -q . && exit 0; sleep 0.1; done; exit 1")


def blocked(host: Host, source: str, port: int) -> None:
    """A firewall drops what a source sends to a port."""
    host.shell(f"iptables -A INPUT -s {source} -p tcp --dport {port} -j DROP")


def clock_off(host: Host, seconds: int) -> None:
    """Every program that is started from now on sees the clock so many seconds off.

    The kernel has one wall clock for all hosts; libfaketime in /etc/ld.so.preload shifts it for the host's whole userland.
    """
    library = host.shell("ls /usr/lib/*/faketime/libfaketime.so.1").strip()
    host.shell(f"echo '{seconds:+d}' > /etc/faketimerc; echo {library} > /etc/ld.so.preload")
