"""Commands, sudo and uploads, on the machine itself: what a remote host's shell sees is the same text."""

from __future__ import annotations

import hashlib
import os
import select
import shlex
import subprocess
from pathlib import Path

import pytest

from labctl.secrets import Secret
from labctl.ssh.files import PARTIAL, download, upload
from labctl.ssh.local import LocalTransport
from labctl.ssh.transport import Completed, HostError, HostTimeoutError, Stdin, SudoError, shell_command

FAKE_SUDO = """\
#!/bin/sh
# Behaves like sudo: -n fails where a password is wanted, -S reads it from standard input.
echo "$*" >> {log}
if [ "$1" = -n ]; then [ {wants} = no ] && {{ shift; exec "$@"; }}; exit 1; fi
IFS= read -r given
[ "$given" = right ] || exit 1
while [ "$1" != /bin/sh ] && [ "$1" != true ]; do shift; done
exec "$@"
"""


class Unprivileged(LocalTransport):
    """Runs what should run as root as the user of the tests."""

    def run(self, command: str, *, stdin: Stdin = b"", sudo: bool = False, timeout: float = 60.0) -> Completed:
        return super().run(command, stdin=stdin, timeout=timeout)


def test_a_command_has_its_input_output_and_exit_status() -> None:
    done = LocalTransport("here").run("cat; echo problem >&2; exit 3", stdin=[b"one ", b"two"])
    assert (done.exit_status, done.text, done.error_text) == (3, "one two", "problem")


def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "held")
    held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(HostTimeoutError, match=r"here: a command did not end within 0\.5 s"):
        LocalTransport("here").run(f"sleep 30 > {tmp_path}/held & wait", timeout=0.5)
    watch = select.poll()
    watch.register(held, 0)
    assert watch.poll(5000) == [(held, select.POLLHUP)]  # the child that held it open is gone
    os.close(held)


def test_output_comes_as_it_is_written() -> None:
    seen: list[bytes] = []
    assert LocalTransport("here").stream("echo a; echo b", seen.append) == 0
    assert b"".join(seen) == b"a\nb\n"


@pytest.fixture
def sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which the user is nobody special and sudo wants the password `right`; returns sudo's log."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "id").write_text("#!/bin/sh\necho 1000\n")
    (tools / "sudo").write_text(FAKE_SUDO.format(log=tmp_path / "log", wants="yes"))
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return tmp_path / "log"


def test_sudo_with_a_password_leaves_the_commands_input_alone(sudo: Path) -> None:
    done = LocalTransport("here", Secret("right")).run("cat", stdin=b"script\n", sudo=True)
    assert (done.exit_status, done.text) == (0, "script\n")
    assert "right" not in sudo.read_text()


def test_sudo_without_a_password_does_not_feed_one_to_the_command(sudo: Path) -> None:
    text = (sudo.parent / "bin" / "sudo").read_text()
    (sudo.parent / "bin" / "sudo").write_text(text.replace("[ yes = no ]", "true"))
    done = LocalTransport("here", Secret("right")).run("cat", stdin=b"script\n", sudo=True)
    assert done.text == "script\n"


@pytest.mark.parametrize(
    ("password", "message"),
    [
        (None, "sudo asks for a password, and none is given"),
        (Secret("wrong-one"), "sudo refuses the password"),
    ],
)
def test_sudos_refusal_says_what_is_missing(sudo: Path, password: Secret | None, message: str) -> None:
    with pytest.raises(SudoError) as caught:
        LocalTransport("here", password).run("cat", stdin=b"x", sudo=True)
    assert message in caught.value.message
    assert "wrong-one" not in caught.value.message + caught.value.hint


def test_the_password_is_in_no_command_line() -> None:
    line, first = shell_command("true", sudo=True, password=Secret("hunter2"))
    assert "hunter2" not in line
    assert first == b"hunter2\n"
    assert shlex.split(line)[-1] == "true"


def test_an_upload_is_whole_or_not_there(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3_000_000))
    target = tmp_path / "there" / "k3s"
    sent: list[int] = []
    sum_ = hashlib.sha256(source.read_bytes()).hexdigest()
    upload(Unprivileged("here"), source, str(target), sum_, mode=0o755, on_progress=sent.append)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_mode & 0o777 == 0o755
    assert sent[-1] == 3_000_000
    with pytest.raises(HostError, match="did not arrive as it was sent"):
        upload(Unprivileged("here"), source, str(target), "0" * 64)
    assert target.read_bytes() == source.read_bytes()
    assert not list(target.parent.glob(f"*{PARTIAL}*"))


def test_an_upload_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HostError, match=r"here: cannot write .*/file/k3s: .*") as caught:
        upload(Unprivileged("here"), source, str(tmp_path / "file" / "k3s"), "0" * 64)
    assert "in the way" not in caught.value.message


def test_a_host_fetches_a_file_itself_and_checks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "curl").write_text('#!/bin/sh\nfor word; do :; done\necho "from $word"\n')
    (tools / "curl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    target = tmp_path / "k3s"
    url = "https://mirror.example/v1.30.14%2Bk3s1/k3s"
    content = f"from {url}\n".encode()
    download(Unprivileged("here"), url, str(target), hashlib.sha256(content).hexdigest(), mode=0o755)
    assert target.read_bytes() == content
    with pytest.raises(HostError, match="did not arrive as it was sent"):
        download(Unprivileged("here"), url, str(target), "0" * 64)


def test_an_upload_whose_reader_goes_away_leaves_nothing(tmp_path: Path) -> None:
    """As sshd ends a session: standard input ends early, and nobody reads what the script then writes."""
    source = tmp_path / "source"
    source.write_bytes(b"x" * 1000)
    target = tmp_path / "k3s"
    scripts: list[str] = []

    class Remembering(Unprivileged):
        def run(self, command: str, *, stdin: Stdin = b"", sudo: bool = False, timeout: float = 60.0) -> Completed:
            scripts.append(command)
            return Completed(0)

    upload(Remembering("here"), source, str(target), "0" * 64)
    reader, writer = os.pipe()
    os.close(reader)
    child = subprocess.Popen(["/bin/sh", "-c", scripts[0]], stdin=subprocess.PIPE, stdout=writer, stderr=writer)
    os.close(writer)
    child.communicate(b"half", timeout=10)
    assert child.returncode != 0
    assert not list(tmp_path.glob("k3s*"))
