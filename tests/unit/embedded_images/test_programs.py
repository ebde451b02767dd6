from __future__ import annotations

import asyncio
import io
import tarfile

import pytest

from tests.unit.embedded_images.fakes import context
from tests.unit.embedded_images.running import Result, run, run_in, sh

TEXT = {"/tmp/t": b"b 2\na 10\nc 1\na 10\n"}


@pytest.mark.parametrize(
    ("script", "out"),
    [
        ("cat -n /tmp/t | tail -1", "     4\ta 10\n"),
        ("head -2 /tmp/t", "b 2\na 10\n"),
        ("head -c 3 /tmp/t", "b 2"),
        ("tail -n 1 /tmp/t", "a 10\n"),
        ("tail -n +4 /tmp/t", "a 10\n"),
        ("wc -l < /tmp/t", "4\n"),
        ("wc -l /tmp/t", "4 /tmp/t\n"),
        ("sort /tmp/t | uniq -c | sort -nr", "      2 a 10\n      1 c 1\n      1 b 2\n"),
        ("sort -k2 -n -u /tmp/t", "c 1\nb 2\na 10\n"),
        ("cut -d' ' -f2 /tmp/t | sort -n | head -1", "1\n"),
        ("cut -c1 /tmp/t", "b\na\nc\na\n"),
        ("tr a-c A-C < /tmp/t | head -1", "B 2\n"),
        ("tr -d '\\n 0-9' < /tmp/t", "baca"),
        ("grep -c a /tmp/t", "2\n"),
        ("grep -n '^c' /tmp/t", "3:c 1\n"),
        ("grep -v a /tmp/t", "b 2\nc 1\n"),
        ("grep -E '(b|c) [0-9]' /tmp/t", "b 2\nc 1\n"),
        ("grep -o '[0-9]*' /tmp/t | head -1", "2\n"),
        ("egrep '(b|c)' /tmp/t", "b 2\nc 1\n"),
        ("grep -q b /tmp/t && echo found", "found\n"),
        ("sed 's/a/X/g' /tmp/t | head -2", "b 2\nX 10\n"),
        ("sed -n '2p;$p' /tmp/t", "a 10\na 10\n"),
        ("sed '/a/d' /tmp/t", "b 2\nc 1\n"),
        ("sed -E 's/([a-z]) ([0-9]+)/\\2=\\1/' /tmp/t | head -1", "2=b\n"),
        ("echo x | tee /tmp/o; cat /tmp/o", "x\nx\n"),
        ("echo a b c | xargs -n 1 echo -", "- a\n- b\n- c\n"),
        ("seq 2 2 6", "2\n4\n6\n"),
        ("echo hi | base64; echo aGkK | base64 -d", "aGkK\nhi\n"),
        ("printf abc | md5sum", "900150983cd24fb0d6963f7d28e17f72  -\n"),
        ("mkdir -p /tmp/d/s; echo B > /tmp/d/s/b; find /tmp/d -type f", "/tmp/d/s/b\n"),
        ("cp /tmp/t /tmp/u; mv /tmp/u /tmp/v; ls /tmp", "t\nv\n"),
        ("mkdir /tmp/a; cp -r /tmp/a /tmp/b; rmdir /tmp/a; ls /tmp", "b\nt\n"),
        ("ln -s /tmp/t /tmp/l; readlink /tmp/l; readlink -f /tmp/l; wc -c < /tmp/l", "/tmp/t\n/tmp/t\n18\n"),
        ("basename /a/b.txt .txt; dirname /a/b.txt", "b\n/a\n"),
        ("ls", "bin\ndev\netc\nproc\nsys\ntmp\nvar\n"),
        ("hostname; hostname -i", "web-1\n127.16.1.2\n"),
        ("date -d @0 -u +%Y-%m-%dT%H:%M:%S", "1970-01-01T00:00:00\n"),
        ("id; whoami", "uid=0(root) gid=0 groups=0\nroot\n"),
        ("which cat; tty", "/bin/cat\nnot a tty\n"),
        ("timeout 0.05 sleep 5; echo $?", "143\n"),
        ("env -i A=1 env", "A=1\n"),
        ("dd 2>/dev/null; echo $?", "127\n"),
    ],
)
def test_programs_print_what_busybox_prints(script: str, out: str) -> None:
    assert sh(script, files=TEXT).out == out


@pytest.mark.parametrize(
    ("command", "code", "err"),
    [
        (("ls", "/nope"), 1, "ls: /nope: No such file or directory\n"),
        (("rm", "/nope"), 1, "rm: can't remove '/nope': No such file or directory\n"),
        (("rm", "-f", "/nope"), 0, ""),
        (("mkdir", "/tmp/a/b"), 1, "mkdir: can't create directory '/tmp/a/b': No such file or directory\n"),
        (("sleep", "x"), 1, "sleep: invalid number 'x'\n"),
        (("cat", "--frobnicate"), 1, "cat: option --frobnicate is not known in the embedded cluster\n"),
        (("ping", "-c1", "web"), 1, "ping: the embedded cluster has no packets, only connections; try nc -z or curl\n"),
        (("tar", "cf", "-", "/tmp/nope"), 1, None),
        (
            ("tar", "xmf", "-", "-C", "/nosuchdir"),
            1,
            "tar: can't change directory to '/nosuchdir': No such file or directory\n",
        ),
    ],
)
def test_programs_say_what_is_wrong(command: tuple[str, ...], code: int, err: str | None) -> None:
    result = run(*command)
    assert result.code == code
    assert err is None or result.err == err


def test_gnu_images_complain_in_gnu_words() -> None:
    assert run("cat", "/nope", image="nginx").err == "cat: /nope: No such file or directory\n"


def test_nginx_prints_its_version() -> None:
    assert run("nginx", "-v", image="nginx:1.25") == Result("", "nginx version: nginx/1.25.5\n", 0)


def test_tar_carries_files_in_and_out_as_kubectl_cp_does() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("dir/s/b")
        info.size = 2
        archive.addfile(info, io.BytesIO(b"B\n"))

    async def main() -> None:
        made = context("busybox")
        assert await run_in(made, "tar", "-xmf", "-", "-C", "/tmp", stdin=buffer.getvalue()) == Result("", "", 0)
        assert made.files.read("/tmp/dir/s/b") == b"B\n"
        missing = await run_in(made, "tar", "cf", "-", "/tmp/nope")
        assert (
            missing.err == "tar: /tmp/nope: No such file or directory\ntar: error exit delayed from previous errors\n"
        )

    asyncio.run(main())


def test_tar_strips_the_leading_slash_and_says_so() -> None:
    result = sh("tar cf /tmp/out.tar /tmp/t && tar tf /tmp/out.tar", files=TEXT)
    assert result == Result("tmp/t\n", "tar: removing leading '/' from member names\n", 0)


def test_a_large_stream_passes_through() -> None:
    assert run("wc", "-c", stdin=bytes(100_000)).out == "100000\n"
