"""Connections with paramiko: one per node, kept open, every step with a deadline."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import paramiko

from labctl.secrets import Secret
from labctl.ssh.destination import Destination
from labctl.ssh.hostkeys import KnownHosts
from labctl.ssh.keys import authenticate
from labctl.ssh.transport import (
    Completed,
    ConnectionLostError,
    HostError,
    HostTimeoutError,
    Stdin,
    check_sudo,
    pieces,
    shell_command,
)

KEEPALIVE_SECONDS = 15
SILENCE_SECONDS = 20
"""A host that acknowledges nothing for so long is gone."""
WINDOW = 1 << 26
"""Bytes in flight before the other side must confirm: a fast upload does not wait for round trips."""
_FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr")
"""Authenticated by the cipher itself, in C: uploads cost a third of what a separate MAC in Python does."""


@dataclass(frozen=True, slots=True)
class Login:
    """How to be let in besides keys, and how to treat new host keys.

    Attributes:
        password: Login password.
        sudo_password: For sudo, where it asks.
        strict_host_keys: Whether unknown hosts are refused.
        learnt: Told in words when a new host key was stored.
    """

    password: Secret | None = None
    sudo_password: Secret | None = None
    strict_host_keys: bool = False
    learnt: Callable[[str], None] = lambda text: None


def connect(destination: Destination, login: Login) -> SshTransport:
    """Connect and log in.

    Raises:
        HostError: It cannot be reached, is not the host it was, or does not let this user in.
        HostTimeoutError: It does not answer in time.
    """
    hops: list[paramiko.Transport] = []
    try:
        for jump in destination.jumps:
            hops.append(_open(jump, _socket(jump, hops), login))
        last = _open(destination, _socket(destination, hops), login)
    except BaseException:
        for hop in reversed(hops):
            hop.close()
        raise
    return SshTransport(destination, last, tuple(hops), login.sudo_password)


def _socket(destination: Destination, hops: list[paramiko.Transport]) -> socket.socket | paramiko.Channel:
    """What the SSH protocol is spoken over: a TCP connection, a jump host's channel, or a command's streams."""
    where = (destination.address, destination.port)
    try:
        if hops:
            return hops[-1].open_channel("direct-tcpip", where, ("127.0.0.1", 0), timeout=destination.connect_timeout)
        if destination.proxy_command:
            command = paramiko.ProxyCommand(_expanded(destination))
            command.settimeout(destination.connect_timeout)
            return command  # type: ignore[return-value]  # socket-like, as paramiko's Transport wants it
        return _patient(socket.create_connection(where, timeout=destination.connect_timeout))
    except TimeoutError as error:
        raise HostTimeoutError(
            destination.name,
            f"{destination} does not answer within {destination.connect_timeout:g} s",
            hint="is the machine up, and its firewall open for SSH?",
        ) from error
    except (OSError, paramiko.SSHException) as error:
        via = f" (through {destination.jumps[-1]})" if destination.jumps else ""
        words = getattr(error, "strerror", None) or str(error)
        raise HostError(
            destination.name,
            f"cannot connect to {destination}{via}: {words}",
            hint="is the machine up, does sshd run there, and is the address right?",
        ) from error


def _patient(link: socket.socket) -> socket.socket:
    """Let the system end a connection whose other side has gone silent (tcp(7)); without this a cut cable hangs it."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", SILENCE_SECONDS // 2),
        ("TCP_KEEPINTVL", SILENCE_SECONDS // 4),
        ("TCP_KEEPCNT", 2),
        ("TCP_USER_TIMEOUT", SILENCE_SECONDS * 1000),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            link.setsockopt(socket.IPPROTO_TCP, option, value)
    return link


def _expanded(destination: Destination) -> str:
    command = destination.proxy_command
    for token, value in (("%h", destination.address), ("%p", str(destination.port)), ("%r", destination.user)):
        command = command.replace(token, value)
    return command


def _open(destination: Destination, link: socket.socket | paramiko.Channel, login: Login) -> paramiko.Transport:
    transport = paramiko.Transport(link, default_window_size=WINDOW)
    try:
        transport.banner_timeout = transport.auth_timeout = destination.connect_timeout
        transport.set_keepalive(KEEPALIVE_SECONDS)
        known = KnownHosts(destination.known_hosts, destination.address, destination.port)
        _prefer(transport, known.key_types)
        try:
            transport.start_client(timeout=destination.connect_timeout)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise HostError(
                destination.name,
                f"{destination} does not speak SSH with us: {error or 'it closed the connection'}",
                hint="is it an SSH server? sshd's own log says why it hung up",
            ) from error
        key = transport.get_remote_server_key()
        known.check(destination.name, key, strict=login.strict_host_keys, learnt=login.learnt)
        authenticate(transport, destination, login.password)
    except BaseException:
        transport.close()
        raise
    return transport


def _prefer(transport: paramiko.Transport, key_types: tuple[str, ...]) -> None:
    """Ask for the host's known keys first, and for ciphers that are fast here."""
    options = transport.get_security_options()
    wanted = [kind for known in key_types for kind in _signatures(known) if kind in options.key_types]
    options.key_types = [*wanted, *(kind for kind in options.key_types if kind not in wanted)]
    fast = [cipher for cipher in _FAST_CIPHERS if cipher in options.ciphers]
    options.ciphers = [*fast, *(cipher for cipher in options.ciphers if cipher not in fast)]


def _signatures(key_type: str) -> tuple[str, ...]:
    """Names under which a key of this type is negotiated: an RSA key signs with SHA-2 (RFC 8332)."""
    return ("rsa-sha2-512", "rsa-sha2-256") if key_type == "ssh-rsa" else (key_type,)


class SshTransport:
    """An open connection to one host."""

    def __init__(
        self,
        destination: Destination,
        transport: paramiko.Transport,
        hops: tuple[paramiko.Transport, ...],
        sudo_password: Secret | None,
    ) -> None:
        self._destination = destination
        self._transport = transport
        self._hops = hops
        self._password = sudo_password

    @property
    def host(self) -> str:
        """The node's name."""
        return self._destination.name

    def run(self, command: str, *, stdin: Stdin = b"", sudo: bool = False, timeout: float = 60.0) -> Completed:
        """See Transport.run."""
        deadline = time.monotonic() + timeout
        line, first = shell_command(command, sudo=sudo, password=self._password)
        channel = self._channel(line, timeout)
        try:
            feeder = _Feeder(channel, pieces(first, stdin))
            feeder.start()
            out = b"".join(_read(channel.recv, channel, deadline))
            error = b"".join(_read(channel.recv_stderr, channel, deadline))
            status = self._status(channel, deadline)
        except TimeoutError as expired:
            raise HostTimeoutError(
                self.host, f"a command did not end within {timeout:g} s", hint="raise --timeout if the host is slow"
            ) from expired
        except (paramiko.SSHException, OSError, EOFError) as lost:
            raise self._lost(lost) from lost
        finally:
            channel.close()
        if feeder.failure is not None and status == 0:
            raise self._lost(feeder.failure)
        return check_sudo(self.host, Completed(status, out, error))

    def stream(self, command: str, on_output: Callable[[bytes], None], *, sudo: bool = False) -> int:
        """See Transport.stream."""
        line, first = shell_command(command, sudo=sudo, password=self._password)
        channel = self._channel(line, self._destination.connect_timeout)
        try:
            _Feeder(channel, [first]).start()
            while chunk := channel.recv(65536):
                on_output(chunk)
            return channel.recv_exit_status()
        except (paramiko.SSHException, OSError, EOFError) as lost:
            raise self._lost(lost) from lost
        finally:
            channel.close()

    def close(self) -> None:
        """Close the connection, and the jump hosts' after it."""
        for transport in (self._transport, *reversed(self._hops)):
            transport.close()

    def _channel(self, line: str, timeout: float) -> paramiko.Channel:
        try:
            channel = self._transport.open_session(timeout=min(timeout, self._destination.connect_timeout))
            channel.exec_command(line)
        except (paramiko.SSHException, OSError, EOFError) as lost:
            raise self._lost(lost) from lost
        return channel

    def _status(self, channel: paramiko.Channel, deadline: float) -> int:
        if not channel.status_event.wait(max(0.0, deadline - time.monotonic())):
            raise TimeoutError
        status = channel.recv_exit_status()
        if status == -1 and not self._transport.is_active():
            raise EOFError("the connection ended before the command did")
        return status

    def _lost(self, error: BaseException) -> ConnectionLostError:
        words = str(error) or "the other side closed it"
        return ConnectionLostError(
            self.host,
            f"the connection to {self._destination} was lost: {words}",
            hint="nothing is left half written; run the same command again and it goes on where it stopped",
        )


class _Feeder(threading.Thread):
    """Writes a command's standard input beside the reading of its output, so that neither waits for the other."""

    def __init__(self, channel: paramiko.Channel, data: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self.failure: Exception | None = None
        self._channel = channel
        self._data = data

    def run(self) -> None:
        """Write everything, then end the input."""
        try:
            for piece in self._data:
                self._channel.sendall(piece)
        except (OSError, paramiko.SSHException, EOFError) as error:  # a command may end without reading it all
            self.failure = error
        with contextlib.suppress(OSError, paramiko.SSHException, EOFError):
            self._channel.shutdown_write()


def _read(receive: Callable[[int], bytes], channel: paramiko.Channel, deadline: float) -> Iterable[bytes]:
    while True:
        channel.settimeout(max(0.001, deadline - time.monotonic()))
        chunk = receive(1 << 16)
        if not chunk:
            return
        yield chunk
