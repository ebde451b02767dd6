from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from labctl.download import DownloadError
from labctl.env import Env
from labctl.k3s import sources
from labctl.k3s.versions import artifact_version
from labctl.model.inventory import K3s
from labctl.testing.sink import RecordingSink

SUMS = f"{'a' * 64}  k3s\n{'b' * 64}  k3s-airgap-images-amd64.tar.zst\n"


@pytest.fixture
def env(tmp_path: Path) -> Env:
    return Env(io.StringIO(), io.StringIO(), {}, tmp_path, tmp_path, tmp_path / "state", tmp_path / "cache")


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A release's list of sums at every address; what was asked for."""
    asked: list[str] = []

    def text(url: str) -> str:
        asked.append(url)
        return SUMS

    monkeypatch.setattr(sources, "fetch_text", text)
    return asked


def test_hosts_that_download_themselves_get_the_address_and_the_sum(env: Env, web: list[str]) -> None:
    k3s = K3s(version="v1.30.14+k3s1", mirror="https://mirror.example/k3s", node_downloads=True)
    found = sources.find_artifacts(k3s, ["amd64"], env, RecordingSink()).binaries["amd64"]
    assert found.url == "https://mirror.example/k3s/v1.30.14%2Bk3s1/k3s"
    assert found.sha256 == "a" * 64
    assert str(artifact_version(found)) == "v1.30.14+k3s1"
    sources.find_artifacts(k3s, ["amd64"], env, RecordingSink())
    assert web == ["https://mirror.example/k3s/v1.30.14%2Bk3s1/sha256sum-amd64.txt"]


def test_a_mirror_that_is_none_is_not_remembered(env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "fetch_text", lambda url: "<html>hello</html>")
    k3s = K3s(version="v1.30.14+k3s1", node_downloads=True)
    with pytest.raises(DownloadError, match="names no k3s"):
        sources.find_artifacts(k3s, ["amd64"], env, RecordingSink())
    assert not list(env.cache_dir.rglob("sha256sum*"))


def answering(location: str) -> Callable[..., httpx.Response]:
    headers = {"location": location} if location else {}
    return lambda url, **options: httpx.Response(302, headers=headers)


def test_without_a_release_the_channels_newest_or_the_hosts_own(
    env: Env, web: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpx, "get", answering("https://github.com/k3s-io/k3s/releases/tag/v1.30.14%2Bk3s2"))
    k3s = K3s(node_downloads=True)
    newest = sources.find_artifacts(k3s, ["amd64"], env, RecordingSink()).binaries["amd64"]
    assert str(artifact_version(newest)) == "v1.30.14+k3s2"
    kept = sources.find_artifacts(k3s, ["amd64"], env, RecordingSink(), installed="v1.30.4+k3s1").binaries["amd64"]
    assert str(artifact_version(kept)) == "v1.30.4+k3s1"


def test_a_channel_without_a_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "get", answering(""))
    with pytest.raises(DownloadError, match="names no release") as caught:
        sources.newest("v9.99")
    assert "--artifacts" in caught.value.hint
