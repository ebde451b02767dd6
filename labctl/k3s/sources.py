"""Where the files for the hosts come from: a folder, or a release that is downloaded once into the cache."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from labctl.download import DownloadError, fetch, fetch_text
from labctl.env import Env
from labctl.events import EventSink, Level, Notice, StepDone, StepProgress, StepStarted
from labctl.k3s.artifacts import Artifacts, from_directory
from labctl.k3s.release import CHANNELS, binary_name, parse_sums, parse_version, sums_name
from labctl.model.inventory import K3S_RELEASES, K3s


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
    for arch in architectures:
        _download(_places(k3s, version), arch, folder, sink)
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
    found = parse_version(answer.headers.get("location", ""))
    if found is None:
        raise DownloadError(f"{url} names no release (HTTP {answer.status_code})", hint=hint)
    return str(found)


def _places(k3s: K3s, version: str) -> tuple[str, ...]:
    """Where a release's files are: the mirror alone when one is named, for a network without the others."""
    return (f"{k3s.mirror or K3S_RELEASES}/{quote(version, safe='')}",)


def _download(places: Sequence[str], arch: str, folder: Path, sink: EventSink) -> None:
    """Have the binary of an architecture and the list of sums in the folder."""
    name = binary_name(arch)
    step = f"download/{arch}"
    sink(StepStarted(step, f"download {name} {folder.name}"))
    sums_file = folder / sums_name(arch)
    if not sums_file.is_file():
        text = fetch_text(f"{places[0]}/{sums_name(arch)}")
        folder.mkdir(parents=True, exist_ok=True)
        partial = sums_file.with_suffix(".part")
        partial.write_text(text, encoding="utf-8")
        partial.replace(sums_file)
    sum_of = parse_sums(sums_file.read_text(encoding="utf-8"))
    if name not in sum_of:
        sums_file.unlink()
        raise DownloadError(f"{places[0]}/{sums_name(arch)} names no {name}", hint="is `k3s.mirror` a k3s mirror?")

    def progress(done: int, total: int) -> None:
        sink(StepProgress(step, done // 1_000_000, max(1, total // 1_000_000), "MB"))

    mirrors = [f"{place}/{name}" for place in places[1:]]
    fetched = fetch(f"{places[0]}/{name}", folder / name, sha256=sum_of[name], mirrors=mirrors, progress=progress)
    sink(StepDone(step, "verified" if fetched else "in the cache", changed=fetched))
