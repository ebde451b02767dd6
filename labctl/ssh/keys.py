"""Logging in: the agent's keys, key files of every type, then the password."""

from __future__ import annotations

from collections.abc import Iterator

import paramiko

from labctl.secrets import Secret
from labctl.ssh.destination import Destination
from labctl.ssh.transport import AuthenticationError, HostError


def authenticate(transport: paramiko.Transport, destination: Destination, password: Secret | None) -> None:
    """Log in on a transport whose host key is already accepted.

    Raises:
        AuthenticationError: Nothing that was tried is accepted; says what was tried.
        HostError: The connection ended while trying.
    """
    tried: list[str] = []
    try:
        for what, key in _keys(destination, tried):
            if _accepted(transport, destination.user, key):
                return
            tried.append(f"{what} refused")
        if password is not None:
            try:
                transport.auth_password(destination.user, password.reveal())
            except (paramiko.BadAuthenticationType, paramiko.AuthenticationException):
                tried.append("password refused")
            else:
                return
    except (paramiko.SSHException, OSError, EOFError) as error:
        done = f" (tried: {', '.join(tried)})" if tried else ""
        raise HostError(
            destination.name,
            f"{destination} ended the login: {error or 'it closed the connection'}{done}",
            hint="too many keys in the agent? name the right one as `identityFile`",
        ) from error
    raise AuthenticationError(
        destination.name,
        f"{destination} does not let us in: {', '.join(tried) or 'there is no key and no password to try'}",
        hint=f"`ssh-copy-id -p {destination.port} {destination.user}@{destination.address}` installs a key; "
        "`ssh.user`, `ssh.identityFile` and `ssh.password` in cluster.yaml say how to log in",
    )


def _keys(destination: Destination, tried: list[str]) -> Iterator[tuple[str, paramiko.PKey]]:
    if destination.use_agent:
        agent = paramiko.Agent()
        try:
            for key in agent.get_keys():
                yield f"agent key {key.get_name()}", key
        finally:
            agent.close()
    for path in destination.identity_files:
        try:
            yield f"key {path}", paramiko.PKey.from_path(path)
        except paramiko.PasswordRequiredException:
            tried.append(f"key {path} is encrypted (`ssh-add {path}` puts it into the agent)")
        except (paramiko.SSHException, paramiko.pkey.UnknownKeyType, OSError, ValueError) as error:
            tried.append(f"key {path} cannot be read: {error}")


def _accepted(transport: paramiko.Transport, user: str, key: paramiko.PKey) -> bool:
    try:
        return not transport.auth_publickey(user, key)
    except (paramiko.BadAuthenticationType, paramiko.AuthenticationException):
        return False
