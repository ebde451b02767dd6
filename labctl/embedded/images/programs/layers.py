"""Root file systems: which programs and files the families of images bring."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.embedded.images.filesystem import Directory, Executable, File, Node, layer
from labctl.embedded.images.process import Program
from labctl.embedded.images.programs import curl, files, grep, network, sed, system, tar, text, wget
from labctl.embedded.images.shell.program import sh

CORE: Mapping[str, Program] = {
    "sh": sh,
    "[": system.test,
    "base64": text.base64,
    "basename": files.basename,
    "cat": text.cat,
    "chmod": files.chmod,
    "cp": files.cp,
    "cut": text.cut,
    "date": system.date,
    "df": files.df,
    "dirname": files.dirname,
    "echo": text.echo,
    "egrep": grep.grep,
    "env": system.env,
    "false": system.false,
    "find": files.find,
    "grep": grep.grep,
    "head": text.head,
    "hostname": system.hostname,
    "id": system.id_,
    "kill": system.kill,
    "ln": files.ln,
    "ls": files.ls,
    "md5sum": text.checksum,
    "mkdir": files.mkdir,
    "mktemp": files.mktemp,
    "mv": files.mv,
    "nproc": system.nproc,
    "printenv": system.env,
    "printf": text.printf,
    "ps": system.ps,
    "readlink": files.readlink,
    "realpath": files.readlink,
    "rev": text.rev,
    "rm": files.rm,
    "rmdir": files.rmdir,
    "sed": sed.sed,
    "seq": text.seq,
    "sha1sum": text.checksum,
    "sha256sum": text.checksum,
    "sleep": system.sleep,
    "sort": text.sort,
    "tail": text.tail,
    "tar": tar.tar,
    "tee": text.tee,
    "test": system.test,
    "timeout": system.timeout,
    "touch": files.touch,
    "tr": text.tr,
    "true": system.true,
    "tty": system.tty,
    "uname": system.uname,
    "uniq": text.uniq,
    "wc": text.wc,
    "which": system.which,
    "whoami": system.whoami,
    "xargs": system.xargs,
    "yes": text.yes,
}
"""What every image with a shell has."""

BUSYBOX: Mapping[str, Program] = {
    **CORE,
    "busybox": system.busybox,
    "ash": sh,
    "ip": network.ip,
    "nc": network.nc,
    "nslookup": network.busybox_nslookup,
    "ping": network.unavailable,
    "traceroute": network.unavailable,
    "wget": wget.wget,
}
"""Busybox's applets."""

DEBIAN: Mapping[str, Program] = {**CORE, "bash": sh, "curl": curl.curl, "getent": network.getent}
"""What the Debian-based images of the study have."""

TOOLS: Mapping[str, Program] = {
    **CORE,
    "bash": sh,
    "zsh": sh,
    "curl": curl.curl,
    "dig": network.dig,
    "getent": network.getent,
    "host": network.host,
    "ip": network.ip,
    "nc": network.nc,
    "nslookup": network.nslookup,
    "ping": network.unavailable,
    "tcpdump": network.unavailable,
    "traceroute": network.unavailable,
    "wget": wget.wget,
}
"""A network troubleshooter's image."""

_PASSWD = "root:x:0:0:root:/root:/bin/sh\n"  # noqa: S105 - /etc/passwd without a password
_BASE: Mapping[str, Node] = {
    "/dev/null": File(b"", 0o666),
    "/dev/zero": File(b"", 0o666),
    "/dev/urandom": File(b"", 0o666),
    "/etc/passwd": File(_PASSWD.encode()),
    "/proc": Directory(0o555),
    "/sys": Directory(0o555),
    "/tmp": Directory(0o1777),  # noqa: S108 - a folder of the container
    "/var": Directory(),
}
_FULL: Mapping[str, Node] = {
    "/etc/group": File(b"root:x:0:\n"),
    **{f"/{name}": Directory() for name in ("boot", "home", "media", "mnt", "opt", "root", "run", "srv", "usr")},
}

_RELEASES = {
    "alpine": 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME="Alpine Linux v3.20"\n',
    "debian": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n',
}


def busybox_layer(own: Mapping[str, Node] | None = None) -> Mapping[str, Node]:
    """A busybox image: everything in /bin, and nothing else."""
    return layer({**_BASE, **_programs(BUSYBOX, "/bin"), **(own or {})})


def alpine_layer(programs: Mapping[str, Program], own: Mapping[str, Node] | None = None) -> Mapping[str, Node]:
    """An Alpine image with more programs."""
    release = {"/etc/os-release": File(_RELEASES["alpine"].encode()), "/etc/alpine-release": File(b"3.20.3\n")}
    tools = {**_programs(BUSYBOX, "/bin"), **_programs(programs, "/usr/bin")}
    return layer({**_BASE, **_FULL, **release, **tools, **(own or {})})


def debian_layer(own: Mapping[str, Node] | None = None, programs: Mapping[str, Program] = DEBIAN) -> Mapping[str, Node]:
    """A Debian image."""
    release = {"/etc/os-release": File(_RELEASES["debian"].encode()), "/etc/debian_version": File(b"12.7\n")}
    return layer({**_BASE, **_FULL, **release, **_programs(programs, "/bin"), **(own or {})})


def _programs(programs: Mapping[str, Program], folder: str) -> dict[str, Node]:
    return {f"{folder}/{name}": Executable(program) for name, program in programs.items()}
