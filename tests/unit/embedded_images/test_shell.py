from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.embedded.cri import StartError
from labctl.embedded.images.container import start_process
from labctl.embedded.images.shell.parser import parse
from labctl.embedded.images.shell.syntax import ShellSyntaxError
from tests.unit.embedded_images.fakes import context
from tests.unit.embedded_images.running import Result, run, sh


@pytest.mark.parametrize(
    ("script", "out"),
    [
        ("echo hi", "hi\n"),
        ("echo a; echo b && echo c || echo d", "a\nb\nc\n"),
        ("false || echo yes", "yes\n"),
        ("false && echo no; echo $?", "1\n"),
        ("x=5; echo $x ${x}y ${#x} ${y:-none} ${x:+set}", "5 5y 1 none set\n"),
        ("x='a  b'; echo $x; echo \"$x\"", "a b\na  b\n"),
        ("echo 'it''s' \"a $((1 + 2 * 3)) b\"", "its a 7 b\n"),
        ("for i in 1 2 3; do echo $i; done", "1\n2\n3\n"),
        ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); done; echo $i", "3\n"),
        ("until [ -f /tmp/x ]; do touch /tmp/x; done; ls /tmp", "x\n"),
        ("if [ a = b ]; then echo 1; elif [ -n x ]; then echo 2; else echo 3; fi", "2\n"),
        ("case hello in h*o) echo yes;; *) echo no;; esac", "yes\n"),
        ("f() { echo \"$1-$2\"; return 3; }; f a 'b c'; echo $?", "a-b c\n3\n"),
        ('set -- a \'b c\' d; for x in "$@"; do echo "<$x>"; done; echo $#', "<a>\n<b c>\n<d>\n3\n"),
        ('set --; for x in "$@"; do echo never; done; echo end', "end\n"),
        ("echo $(echo a; echo b) `echo c`", "a b c\n"),
        ("echo b > /tmp/f; echo a >> /tmp/f; sort < /tmp/f | head -1", "a\n"),
        ("cat <<EOF\nhi $((2*2))\nEOF\necho after", "hi 4\nafter\n"),
        ("cat <<'EOF'\n$x\nEOF", "$x\n"),
        ("(cd /tmp; pwd); pwd", "/tmp\n/\n"),
        ("{ echo a; echo b; } | wc -l", "2\n"),
        ('echo one two | { read a b; echo "$b $a"; }', "two one\n"),
        ("printf '%s-%03d\\n' a 7 b 8", "a-007\nb-008\n"),
        ("echo -n a; echo -e 'b\\tc'", "ab\tc\n"),
        ("f=a.tar.gz; echo ${f%.*} ${f%%.*} ${f#*.} ${f##*.}", "a.tar a tar.gz gz\n"),
        ("echo /etc/host*", "/etc/hostname /etc/hosts\n"),
        ("trap 'echo bye' EXIT; echo hi", "hi\nbye\n"),
        ("! true; echo $?", "1\n"),
        ("a=1 env | grep ^a=", "a=1\n"),
        ("export V=7; sh -c 'echo $V'", "7\n"),
        ("echo err >&2", ""),
        ("for i in 1 2 3 4; do [ $i = 2 ] && continue; [ $i = 4 ] && break; echo $i; done", "1\n3\n"),
        ('seq 3 | while read n; do echo "n$n"; done', "n1\nn2\nn3\n"),
        ("x=$(false); echo $?", "1\n"),
        ("true & wait; echo done", "done\n"),
        ("echo a#b # comment", "a#b\n"),
        ("eval 'echo $((6/2))'", "3\n"),
        ("command -v cat; type cd", "/bin/cat\ncd is a shell builtin\n"),
    ],
)
def test_shell_scripts_print_what_a_posix_shell_prints(script: str, out: str) -> None:
    result = sh(script, files={"/etc/hostname": b"web-1\n", "/etc/hosts": b""} if "/etc" in script else None)
    assert result.out == out


@pytest.mark.parametrize(
    ("script", "code", "err"),
    [
        ("exit 7", 7, ""),
        ("echo out; echo err >&2; exit 3", 3, "err\n"),
        ("nosuch", 127, "sh: nosuch: not found\n"),
        ("/nosuch/path", 127, "sh: /nosuch/path: not found\n"),
        ("kill -9 $$", 137, ""),
        ("set -e; false; echo never", 1, ""),
        ("cat /nope", 1, "cat: can't open '/nope': No such file or directory\n"),
        ("echo 'open", 2, "sh: syntax error: unterminated quoted string\n"),
        ("while true; do", 2, 'sh: syntax error: unexpected end of file (expecting "done")\n'),
        ("echo x > /no/dir", 1, "sh: can't create /no/dir: No such file or directory\n"),
        ("cat < /none", 1, "sh: can't open /none: No such file or directory\n"),
        ("cd /none", 2, "sh: cd: can't cd to /none: No such file or directory\n"),
        ("set -u; echo $unset", 2, "sh: unset: parameter not set\n"),
        ("echo $((1/0))", 2, "sh: divide by zero\n"),
        ("test 1 -eq x", 2, "sh: test: x: bad number\n"),
        ("f() { f; }; f", 139, ""),
        ("wait $$", 127, ""),
        ("for x in f() a", 2, 'sh: syntax error: unexpected "("\n'),
    ],
)
def test_shell_scripts_fail_with_the_code_and_words_of_a_shell(script: str, code: int, err: str) -> None:
    result = sh(script)
    assert (result.code, result.err) == (code, err)


def test_commands_come_from_standard_input() -> None:
    assert run("sh", stdin=b"echo one\nif true\nthen echo two\nfi\nexit 5\necho never\n") == Result("one\ntwo\n", "", 5)


def test_a_script_file_runs_by_its_interpreter() -> None:
    result = sh("chmod +x /tmp/s; /tmp/s a b", files={"/tmp/s": b"#!/bin/sh\necho $0 $2\n"})
    assert result.out == "/tmp/s b\n"


def test_braces_expand_in_bash_only() -> None:
    assert run("bash", "-c", "echo {1..3} a{b,c}d", image="nginx").out == "1 2 3 abd acd\n"
    assert run("sh", "-c", "echo {1..3}").out == "{1..3}\n"


def test_a_pipeline_ends_when_its_reader_does() -> None:
    assert sh("yes | head -2; echo end").out == "y\ny\nend\n"


def test_memory_that_a_script_may_take_is_bounded() -> None:
    assert sh("x=a; while true; do x=$x$x; done").code == 137


def test_process_one_is_not_killed_from_inside_and_honours_traps() -> None:
    async def main() -> None:
        lines: list[str] = []
        made = context("busybox", log=lines.append)
        container = start_process(made, ("sh", "-c", "kill -9 $$; echo alive"))
        assert await asyncio.wait_for(container.exited, 5) == 0
        assert lines == ["alive"]
        trapped = start_process(made, ("sh", "-c", "trap 'echo bye; exit 4' TERM; while true; do sleep 0.01; done"))
        await asyncio.sleep(0.02)
        trapped.stop(5)
        assert await asyncio.wait_for(trapped.exited, 5) == 4
        assert lines == ["alive", "bye"]

    asyncio.run(main())


def test_process_one_without_a_handler_is_killed_after_the_grace_period() -> None:
    async def main() -> None:
        container = start_process(context("busybox"), ("sleep", "1000"))
        loop = asyncio.get_running_loop()
        started = loop.time()
        container.stop(0.1)
        assert await asyncio.wait_for(container.exited, 5) == 137
        assert loop.time() - started >= 0.09

    asyncio.run(main())


def test_an_unknown_executable_gives_the_runtimes_words() -> None:
    async def main() -> None:
        with pytest.raises(StartError, match='unable to start container process: exec: "nosuchcmd": executable file'):
            start_process(context("nginx"), ("nosuchcmd",))

    asyncio.run(main())


PIECES = [
    "if",
    "then",
    "fi",
    "while",
    "do",
    "done",
    "for x in",
    "case a in",
    "esac",
    ";;",
    ";",
    "&",
    "&&",
    "|",
    "(",
    ")",
]
PIECES += [
    "{",
    "}",
    "$(",
    "$((",
    "))",
    "${",
    "`",
    '"',
    "'",
    "\\",
    "\n",
    "a",
    "x=1",
    ">",
    "<<EOF",
    "EOF",
    "#",
    "!",
    "f()",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    refusal = ""
    try:
        parse(text)
    except ShellSyntaxError as error:
        refusal = str(error)
    assert refusal == "" or refusal.startswith("syntax error")
