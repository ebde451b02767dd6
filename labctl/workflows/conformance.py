"""`labctl conformance`: recorded behaviour of a real ingress-nginx against the embedded one, or any cluster's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl.conformance.corpus import Case, load
from labctl.conformance.local import LocalTarget
from labctl.conformance.play import play_all
from labctl.conformance.target import Target
from labctl.env import Env
from labctl.errors import ClusterError, UsageError
from labctl.events import EventSink, Level, Notice, StepDone, StepProgress, StepStarted
from labctl.model.cluster import Endpoint, IngressEndpoints
from labctl.model.conformance import Agreement, CaseReport, ConformanceReport
from labctl.model.inventory import Inventory, KubeconfigRef, Provider

LISTED_FILE = "listed.txt"
"""In a corpus' directory: cases that are known to differ, `NAME: reason` a line."""


@dataclass(frozen=True, slots=True)
class ConformanceOptions:
    """The command line of `conformance`, as given."""

    corpus: Path
    target: str = "embedded"
    only: Sequence[str] = ()
    ingress_class: str = "nginx"
    image: str = ""
    timeout: float = 120.0
    http: str = ""
    https: str = ""


def run_conformance(options: ConformanceOptions, *, env: Env, sink: EventSink) -> ConformanceReport:
    """Play a corpus and tell what differs.

    Raises:
        UsageError: The corpus or the target cannot be understood.
        ClusterError: The target cannot be reached, or has no ingress controller.
        WaitTimeoutError: It does not become ready.
    """
    cases = choose(list(load(options.corpus)), options.only)
    listed = read_listed(options.corpus)
    target = find_target(options, env, sink)
    started, begun = env.clock.now(), env.clock.monotonic()
    done: list[CaseReport] = []
    partial = False
    try:
        asyncio.run(_play(target, cases, listed, sink, done))
    except KeyboardInterrupt:
        partial = True
    return ConformanceReport(
        target.describe(), str(options.corpus), started, env.clock.monotonic() - begun, tuple(done), partial
    )


async def _play(
    target: Target, cases: Sequence[Case], listed: Mapping[str, str], sink: EventSink, done: list[CaseReport]
) -> None:
    sink(StepStarted("conformance", f"{len(cases)} recorded cases on {target.describe()}"))

    def progress(report: CaseReport) -> None:
        done.append(report)
        sink(StepProgress("conformance", len(done), len(cases), report.name))

    try:
        await target.prepare(cases)
        await play_all(target, cases, listed=listed, progress=progress)
    finally:
        await target.close()
    failed = sum(report.agreement is Agreement.FAILED for report in done)
    sink(StepDone("conformance", f"{failed} differ" if failed else "none differs"))


def choose(cases: Sequence[Case], only: Sequence[str]) -> list[Case]:
    """Cases whose name contains one of the texts, or whose group begins with it; all without texts.

    Raises:
        UsageError: There is none.
    """
    chosen = [
        case for case in cases if not only or any(text in case.name or case.group.startswith(text) for text in only)
    ]
    if not chosen:
        groups = ", ".join(dict.fromkeys(case.group for case in cases))
        raise UsageError(f"no case is called {' or '.join(only)}", hint=f"groups: {groups}")
    return chosen


def read_listed(corpus: Path) -> dict[str, str]:
    """Cases that are known to differ, with the reason."""
    path = corpus / LISTED_FILE
    if not path.exists():
        return {}
    lines = (line.partition(":") for line in path.read_text(encoding="utf-8").splitlines() if ":" in line)
    return {name.strip(): reason.strip() for name, _, reason in lines if not name.startswith("#")}


def find_target(options: ConformanceOptions, env: Env, sink: EventSink) -> Target:
    """`embedded`, or `kubeconfig:PATH[#context]`.

    Raises:
        UsageError: It is neither.
        ClusterError: The cluster has no ingress controller that can be found.
    """
    kind, _, place = options.target.partition(":")
    if kind == "embedded" and not place:
        return LocalTarget()
    if kind != "kubeconfig":
        raise UsageError(
            f"--target {options.target!r} is not understood", hint="embedded, or kubeconfig:PATH[#context]"
        )
    return _cluster(options, place, env, sink)


def _cluster(options: ConformanceOptions, place: str, env: Env, sink: EventSink) -> Target:
    from labctl.conformance.echoed import IMAGE
    from labctl.conformance.remote import RemoteOptions, RemoteTarget
    from labctl.kube.client import KubeApi
    from labctl.providers.kubeconfig import KubeconfigProvider

    path, _, context = place.partition("#")
    reference = KubeconfigRef(Path(path).expanduser() if path else None, context or None)
    inventory = Inventory("conformance", Provider.KUBECONFIG, (), kubeconfig=reference)
    cluster = KubeconfigProvider(inventory, env).find()
    ingress = IngressEndpoints(
        http=(_endpoint(options.http),) if options.http else cluster.ingress.http,
        https=(_endpoint(options.https),) if options.https else cluster.ingress.https,
    )
    if not ingress.http:
        raise ClusterError(
            "the cluster has no ingress controller that labctl can find",
            hint="--http ADDRESS:PORT and --https ADDRESS:PORT say where it answers",
        )

    def tell(text: str) -> None:
        sink(Notice(text, Level.INFO))

    return RemoteTarget(
        KubeApi(cluster.kubeconfig, cluster.context),
        ingress,
        RemoteOptions(options.ingress_class, options.image or IMAGE, options.timeout),
        tell,
    )


def _endpoint(text: str) -> Endpoint:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"{text!r} is no address", hint="ADDRESS:PORT, for example 192.168.10.10:30080")
    return Endpoint(host.strip("[]"), int(port))
