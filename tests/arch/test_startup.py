"""What a user waits for before anything happens: heavy libraries are imported where they are needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("kubernetes", "paramiko", "httpx", "pycurl", "cryptography", "jinja2", "uvloop", "sqlite3", "yaml")


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["up", "--help"], ["run", "--help"]])
def test_no_heavy_import_at_startup(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from labctl.cli.main import run\n"
        f"status = run({arguments!r})\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert status == 0, status\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=30)


def test_the_daemon_imports_neither_clients_nor_terminal_libraries() -> None:
    program = (
        "import sys\n"
        "import labctl.embedded.daemon\n"
        "unwanted = [n for n in ('kubernetes', 'paramiko', 'httpx', 'typer', 'rich', 'jinja2', 'yaml.constructor')\n"
        "            if n in sys.modules]\n"
        "assert not [n for n in unwanted if n != 'yaml.constructor'], unwanted\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=30)
