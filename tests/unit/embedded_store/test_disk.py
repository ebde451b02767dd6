import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.embedded.store import Store, StoreError

_WRITER = """
import sys
from pathlib import Path
from labctl.embedded.store import Store

store = Store(Path(sys.argv[1]))
number = store.revision
while True:
    number += 1
    store.put("configmaps", {"metadata": {"namespace": "d", "name": f"c{number}"}, "data": {"n": "x" * 200}})
    sys.stdout.write(f"c{number}\\n")
    sys.stdout.flush()
"""


def _named(name: str) -> dict[str, object]:
    return {"metadata": {"namespace": "d", "name": name}}


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    acknowledged: list[str] = []
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        acknowledged += [writer.stdout.readline().strip() for _ in range(40)]
        os.kill(writer.pid, signal.SIGKILL)
        # What was written between the last line that was read and the kill may or may not be acknowledged.
        acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
        writer.stdout.close()
        writer.wait()
    store = Store(path)
    stored = {entry.object["metadata"]["name"] for entry in store.entries("configmaps")}
    assert set(acknowledged) <= stored
    assert store.revision == len(stored)
    store.close()


def test_a_failed_write_changes_nothing_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    store.put("configmaps", _named("kept"))
    store._disk._connection.execute("PRAGMA query_only=1")
    seen: list[object] = []
    store.subscribe(seen.append)
    with pytest.raises(StoreError, match="readonly"):
        store.put("configmaps", _named("lost"))
    with pytest.raises(StoreError, match="readonly"):
        store.remove("configmaps", _named("kept"))
    assert store.get("configmaps", "d", "lost") is None
    assert store.get("configmaps", "d", "kept") is not None
    assert store.revision == 1
    assert seen == []
    store._disk._connection.execute("PRAGMA query_only=0")
    assert store.put("configmaps", _named("lost")).object["metadata"]["resourceVersion"] == "2"
    store.close()


def test_a_full_disk_is_reported_with_what_to_do(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store._disk._connection.execute("PRAGMA max_page_count=8")

    def fill() -> None:
        for number in range(1000):
            store.put("configmaps", _named(f"c{number}") | {"data": "x" * 1000})

    with pytest.raises(StoreError, match="full") as caught:
        fill()
    assert "free some space" in caught.value.hint
    count = store.count("configmaps")
    assert store.revision == count
    store.close()
    again = Store(tmp_path / "state.db")
    assert again.count("configmaps") == count
    again.close()


def test_a_missing_directory_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open"):
        Store(tmp_path / "nowhere" / "state.db")


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"this is not a database, certainly not " * 100)
    with pytest.raises(StoreError, match="not a database"):
        Store(path)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="another version"):
        Store(path)


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store.put("configmaps", _named("a"))
    with pytest.raises(StoreError, match="locked"):
        Store(tmp_path / "state.db")
    store.close()
