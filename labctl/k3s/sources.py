"""Where the files for the hosts come from: a folder, or a release that is downloaded once into the cache."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote

from labctl.download import DownloadError, fetch, fetch_text
from labctl.env import Env
from labctl.events import EventSink, Level, Notice, StepDone, StepProgress, StepStarted
from labctl.files import write_private
from labctl.k3s.artifacts import Artifact, Artifacts, from_directory
from labctl.k3s.release import CHANNELS, binary_name, parse_sums, parse_version, sums_name
from labctl.model.inventory import K3s


def find_artifacts(
    k3s: K3s, architectures: Iterable[str], env: Env, sink: EventSink, *, installed: str = ""
) -> Artifacts:
    """The files for hosts of these architectures.

    Args:
        k3s: What cluster.yaml says.
        architectures: Of the hosts.
        env: For the cache.
        sink: Where progress goes.
        installed: The release that hosts run already: without an exact version it is kept, a channel moves on.

    Raises:
        ArtifactError: A file is missing, damaged or for other machines, or cannot be downloaded.
    """
    if k3s.artifacts is not None:
        found = from_directory(k3s.artifacts, architectures)
        if found.unverified:
            names = ", ".join(found.unverified)
            sink(Notice(f"{k3s.artifacts}: no list of sums names {names}: not verified", Level.WARNING))
        return found
    version = k3s.version or installed or newest(k3s.channel)
    folder = env.cache_dir / "k3s" / version
    place = f"{k3s.mirror}/{quote(version, safe='')}"
    if k3s.node_downloads:
        return Artifacts({arch: _named(place, arch, folder) for arch in architectures})
    for arch in architectures:
        _download(place, arch, folder, sink)
    return from_directory(folder, architectures)


def newest(channel: str) -> str:
    """The newest release of a channel: the server answers with a redirect to it (k3s: install.sh, get_release_version).

    Raises:
        DownloadError: The channel server does not answer, or names no release.
    """
    import httpx

    url = f"{CHANNELS}/{channel}"
    hint = "name a release as `k3s.version`, or give its files with --artifacts DIR"
    try:
        answer = httpx.get(url, follow_redirects=False, timeout=15)
    except httpx.HTTPError as error:
        raise DownloadError(f"cannot ask {url} for the newest release: {error}", hint=hint) from error
    found = parse_version(unquote(answer.headers.get("location", "")))
    if found is None:
        raise DownloadError(f"{url} names no release (HTTP {answer.status_code})", hint=hint)
    return str(found)


def _sums(place: str, arch: str, folder: Path) -> dict[str, str]:
    """The sums of a release, from the cache or the mirror; one that does not name the binary is not kept."""
    path = folder / sums_name(arch)
    text = path.read_text(encoding="utf-8") if path.is_file() else fetch_text(f"{place}/{path.name}")
    found = parse_sums(text)
    if binary_name(arch) not in found:
        raise DownloadError(f"{place}/{path.name} names no {binary_name(arch)}", hint="is `k3s.mirror` a k3s mirror?")
    write_private(path, text)
    return found


def _named(place: str, arch: str, folder: Path) -> Artifact:
    """The binary as the hosts fetch it: by its address and its sum."""
    name = binary_name(arch)
    return Artifact(Path(name), _sums(place, arch, folder)[name], 0, f"{place}/{name}")


def _download(place: str, arch: str, folder: Path, sink: EventSink) -> None:
    """Have the binary of an architecture and the list of sums in the folder."""
    name = binary_name(arch)
    step = f"download/{arch}"
    sink(StepStarted(step, f"download {name} {folder.name}"))

    def progress(done: int, total: int) -> None:
        sink(StepProgress(step, done // 1_000_000, max(1, total // 1_000_000), "MB"))

    fetched = fetch(f"{place}/{name}", folder / name, sha256=_sums(place, arch, folder)[name], progress=progress)
    sink(StepDone(step, "verified" if fetched else "in the cache", changed=fetched))
