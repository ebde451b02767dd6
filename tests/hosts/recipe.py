"""The base tree that every test host is a copy of: Debian bookworm, small, with systemd and sshd.

Made once by debootstrap and kept in the cache under a name derived from this file's text: a changed recipe makes a new tree.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.hosts.paths import cache

SUITE = "bookworm"
# systemd-sysctl and the kernel's own file systems are masked below: they would change or show the machine, not the host.
# What a small Debian server has; libfaketime is there for the clock-skew fault, and does nothing unless that is made.
PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "libfaketime",
    "openssh-server",
    "procps",
    "python3",
    "sudo",
    "systemd",
    "systemd-sysv",
)
STUDENT_PASSWORD = "correct horse battery"

_CUSTOMISE = f"""
set -e
useradd -m -s /bin/bash ubuntu
useradd -m -s /bin/bash student
echo 'student:{STUDENT_PASSWORD}' | chpasswd
echo 'ubuntu ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ubuntu
echo 'student ALL=(ALL) ALL' > /etc/sudoers.d/student
chmod 0440 /etc/sudoers.d/ubuntu /etc/sudoers.d/student
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
printf '%s\\n' 'PermitRootLogin prohibit-password' 'PasswordAuthentication yes' 'UseDNS no' \\
  'MaxStartups 100' > /etc/ssh/sshd_config.d/hosts.conf
printf '%s\\n' '[Unit]' 'Description=Address and route' 'DefaultDependencies=no' 'Before=network.target ssh.service' \\
  '[Service]' 'Type=oneshot' 'RemainAfterExit=yes' 'ExecStart=/bin/sh /etc/host-network' \\
  '[Install]' 'WantedBy=multi-user.target' > /etc/systemd/system/host-network.service
systemctl enable host-network ssh
systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer \\
  console-getty.service getty@.service e2scrub_reap.service \\
  systemd-sysctl.service sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount \\
  systemd-logind.service
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\\nStorage=volatile\\nRateLimitBurst=0\\n' > /etc/systemd/journald.conf.d/hosts.conf
rm -rf /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /usr/share/info/* /var/lib/apt/lists/* /var/cache/apt/*
rm -rf /var/lib/dpkg/info/* /var/log/* /var/cache/debconf/*
rm -f /etc/resolv.conf
echo 'nameserver 192.168.10.1' > /etc/resolv.conf
"""


def base_tree(say: Callable[[str], None]) -> Path:
    """The base tree's directory; made now if it is not there.

    Raises:
        subprocess.CalledProcessError: debootstrap or the customisation failed; its output has been printed.
    """
    text = repr((SUITE, PACKAGES, _CUSTOMISE))
    home = cache()
    tree = home / f"base-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home / "base.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            _make(tree, say)
    return tree


def _make(tree: Path, say: Callable[[str], None]) -> None:
    partial = tree.with_name(tree.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    if not list(tree.parent.glob("bed-*/state.json")):
        for old in tree.parent.glob("base-*"):  # recipes of the past, which no bed stands on
            shutil.rmtree(old, ignore_errors=True)
    say(f"debootstrap {SUITE} into {tree} (once; about a minute)")
    include = "--include=" + ",".join(PACKAGES)
    _run("debootstrap", "--variant=minbase", include, SUITE, str(partial), log=tree.with_suffix(".log"))
    _run("chroot", str(partial), "/bin/sh", "-c", _CUSTOMISE, log=tree.with_suffix(".log"))
    partial.rename(tree)


def _run(*command: str, log: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    with log.open("ab") as output:
        done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise SystemExit(f"{command[0]} ended with {done.returncode}; the end of {log}:\n{tail}")
