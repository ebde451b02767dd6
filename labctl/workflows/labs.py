"""What running and verifying labs share: performing several at once, and a lab's report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from labctl.errors import LabctlError
from labctl.events import LabDone
from labctl.lab.claims import Claims, claims_of
from labctl.model.cluster import Cluster
from labctl.model.lab import Lab
from labctl.model.report import Check, LabReport, Report, Result, worst
from labctl.workflows.bench import Bench, LabOptions, NodeShell

__all__ = ["Bench", "LabOptions", "perform_labs", "report_lab", "unfit_report"]

INGRESS_NGINX = "k8s.io/ingress-nginx"
"""spec.controller of ingress-nginx's IngressClass."""

Perform = Callable[[Bench, Lab], LabReport]


def perform_labs(command: str, labs: Iterable[Lab], bench: Bench, perform: Perform) -> Report:
    """Perform labs, several at once where they do not touch the same things; the report keeps their order.

    What was done when the user interrupts is reported as such.
    """
    crew = _Crew(bench, perform)
    with ThreadPoolExecutor(max(1, bench.options.jobs)) as pool:
        reports = crew.perform(list(labs), pool)
    result = worst(tuple(report.result for report in reports))
    return Report(
        command=command,
        started=bench.started,
        elapsed_s=bench.env.clock.monotonic() - bench.begun,
        result=Result.ERROR if bench.interrupted and result is not Result.FAILED else result,
        labs=tuple(reports),
        cluster=bench.info,
        partial=bench.interrupted,
    )


class _Crew:
    """Labs waiting, labs being performed, and what became of them."""

    def __init__(self, bench: Bench, perform: Perform) -> None:
        self._bench = bench
        self._perform = perform
        self._done: dict[str, LabReport] = {}

    def perform(self, labs: list[Lab], pool: ThreadPoolExecutor) -> list[LabReport]:
        """Perform all of them; the first that may begin does."""
        waiting = {lab.name: (lab, claims_of(lab, self._bench.overrides)) for lab in labs}
        running: dict[Future[LabReport], Claims] = {}
        while running or (waiting and not self._bench.interrupted):
            try:
                while not self._bench.interrupted and len(running) < max(1, self._bench.options.jobs):
                    name = next((n for n, (_, c) in waiting.items() if c.fits(running.values())), None)
                    if name is None:
                        break
                    lab, claims = waiting.pop(name)
                    running[pool.submit(self._one, lab)] = claims
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    del running[future]
                    report = future.result()
                    self._done[report.name] = report
                    self._bench.sink(LabDone(report))
            except KeyboardInterrupt:
                self._bench.halt.set()  # what runs ends soon, and puts back what it patched
        return [self._done[lab.name] for lab in labs if lab.name in self._done]

    def _one(self, lab: Lab) -> LabReport:
        bench = self._bench.for_lab(lab)
        try:
            return self._perform(bench, lab)
        finally:
            bench.api.close()


def unfit_report(lab: Lab, cluster: Cluster, shell: NodeShell | None = None) -> LabReport | None:
    """Why a lab cannot be performed on a cluster: skipped where it never can, an error where something is missing."""
    never = lab.reference or lab.unsupported.get(cluster.provider, "")
    if never:
        return LabReport(lab.name, Result.SKIPPED, title=lab.title, reason=never)
    missing, hint = _missing(lab, cluster)
    if not missing and lab.needs.shell and shell is not None:
        try:
            shell(cluster.nodes[0].name).close()
        except LabctlError as error:
            return LabReport(lab.name, Result.SKIPPED, title=lab.title, reason=error.message, hint=error.hint)
    if missing:
        return LabReport(lab.name, Result.ERROR, title=lab.title, reason=missing, hint=hint)
    return None


def _missing(lab: Lab, cluster: Cluster) -> tuple[str, str]:
    """What the cluster lacks for a lab, and how to get it; empty when nothing."""
    ready = [node for node in cluster.nodes if node.ready]
    servers = [node for node in ready if "control-plane" in node.role]
    if lab.needs_ingress and not cluster.ingress.http:
        return "no ingress controller answers on this cluster", "`labctl up` installs ingress-nginx"
    if len(ready) < lab.needs.nodes:
        hint = "list more under `nodes:` in cluster.yaml and run `labctl up`, or `labctl node add`"
        return f"{len(ready)} nodes are Ready, the lab needs {lab.needs.nodes}", hint
    if len(servers) < lab.needs.servers:
        hint = f"give {lab.needs.servers} nodes `role: server` in cluster.yaml and run `labctl up`"
        return f"{len(servers)} servers are Ready, the lab needs {lab.needs.servers} with embedded etcd", hint
    return "", ""


def foreign_class(bench: Bench, lab: Lab) -> tuple[str, ...]:
    """A warning where the lab shows what only ingress-nginx does, and the class belongs to another controller."""
    wanted = bench.overrides.ingress_class
    if not lab.ingress_nginx or not wanted:
        return ()
    found = bench.api.get("networking.k8s.io/v1", "IngressClass", "", wanted)
    controller = found["spec"].get("controller", "") if found is not None else ""
    if controller in ("", INGRESS_NGINX):
        return ()
    return (f"class {wanted} belongs to {controller}, which may not do what this lab shows: {lab.ingress_nginx}",)


def lab_result(checks: tuple[Check, ...]) -> Result:
    """A lab's result from its checks'."""
    return worst(tuple(check.result for check in checks))


def report_lab(bench: Bench, lab: Lab, checks: list[Check], perform: Callable[[], None]) -> LabReport:
    """A lab's report, however its performance ends.

    Args:
        bench: Where it is performed.
        lab: The lab.
        checks: What `perform` adds its checks to.
        perform: Performs the lab.
    """
    unfit = unfit_report(lab, bench.cluster, bench.shell)
    if unfit is not None:
        return unfit
    begun = bench.env.clock.monotonic()
    try:
        perform()
    except LabctlError as error:
        return failed_lab(lab, error, tuple(checks), bench.env.clock.monotonic() - begun)
    done = tuple(checks)
    result = Result.ERROR if bench.interrupted and lab_result(done) is Result.PASSED else lab_result(done)
    elapsed = bench.env.clock.monotonic() - begun
    return LabReport(lab.name, result, done, lab.title, warnings=foreign_class(bench, lab), elapsed_s=elapsed)


def failed_lab(lab: Lab, error: LabctlError, checks: tuple[Check, ...], elapsed: float) -> LabReport:
    """A lab that could not be carried through."""
    return LabReport(
        name=lab.name,
        result=Result.ERROR,
        checks=checks,
        title=lab.title,
        reason=error.message,
        hint=error.hint,
        elapsed_s=elapsed,
    )
