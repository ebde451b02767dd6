"""Requests about running pods: logs, exec, attach, port-forward, and their node and eviction."""

from __future__ import annotations

from datetime import datetime

from labctl.embedded.api.bodies import Checks, read_object
from labctl.embedded.api.call import Call
from labctl.embedded.api.errors import bad_request, internal, invalid_reference
from labctl.embedded.api.kubelet import Kubelet, Streams
from labctl.embedded.api.options import change_options, delete_options
from labctl.embedded.api.registry import Registry
from labctl.embedded.api.responses import headers, respond, respond_stream
from labctl.embedded.api.selectorobjects import label_selector
from labctl.embedded.api.selectors import matches_labels
from labctl.embedded.api.streams import portforward, remotecommand
from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.http.messages import Duplex, Response
from labctl.embedded.kinds.resources import Resource

_TEXT = "text/plain"
_BINDING = Resource("", "v1", "pods", "", "Binding", namespaced=True)
_EVICTION = Resource("policy", "v1", "pods", "", "Eviction", namespaced=True)


class PodRequests:
    """Answers the subresources of pods.

    Args:
        registry: Where the pods are.
        checks: The kinds' rules about form.
        kubelet: Runs them; None while none is connected.
    """

    def __init__(self, registry: Registry, checks: Checks, kubelet: Kubelet | None) -> None:
        self._registry = registry
        self._checks = checks
        self.kubelet = kubelet

    def log(self, call: Call) -> Response:
        """GET of a container's log."""
        info = call.info
        pod = self._registry.require(call.target, info.namespace, info.name).object
        container = log_container(pod, info.param("container"))
        _check_log_options(call)
        if not pod["spec"].get("nodeName"):
            # Without a node there is no kubelet to ask, and nothing to show.
            return Response(200, headers(_TEXT), b"")
        if self.kubelet is None:
            raise internal("no kubelet is connected")
        since_time = info.param("sinceTime")
        data = self.kubelet.logs(
            info.namespace,
            info.name,
            container,
            follow=info.flag("follow"),
            previous=info.flag("previous"),
            tail_lines=_number(call, "tailLines"),
            since_seconds=_number(call, "sinceSeconds"),
            since_time=_moment(since_time) if since_time else None,
            timestamps=info.flag("timestamps"),
            limit_bytes=_number(call, "limitBytes"),
        )
        if isinstance(data, bytes):
            return Response(200, headers(_TEXT), data)
        return respond_stream(data, _TEXT)

    def exec(self, call: Call) -> Response:
        """Run a command in a container, over an upgraded connection."""
        info = call.info
        command = list(info.query.get("command", ()))
        container, kubelet = self._connected(call)
        if not command:
            raise bad_request("you must specify at least one command for the container")

        async def run(streams: Streams) -> int:
            return await kubelet.exec(info.namespace, info.name, container, command, streams)

        return remotecommand.upgrade(call.request, _wanted_streams(call), run)

    def attach(self, call: Call) -> Response:
        """Connect to a container's main process, over an upgraded connection."""
        info = call.info
        container, kubelet = self._connected(call)

        async def run(streams: Streams) -> int:
            return await kubelet.attach(info.namespace, info.name, container, streams)

        return remotecommand.upgrade(call.request, _wanted_streams(call), run)

    def port_forward(self, call: Call) -> Response:
        """Forward connections to a pod's ports, over an upgraded connection."""
        info = call.info
        pod, kubelet = self._running(call)

        async def connect(port: int) -> Duplex:
            return await kubelet.port_forward(info.namespace, info.name, port)

        title = f"{info.name}_{info.namespace}, uid {pod['metadata']['uid']}"
        return portforward.upgrade(call.request, title, connect)

    def _running(self, call: Call) -> tuple[Obj, Kubelet]:
        """The pod, which must be on a node."""
        pod = self._registry.require(call.target, call.info.namespace, call.info.name).object
        if not pod["spec"].get("nodeName"):
            raise bad_request(f"pod {call.info.name} does not have a host assigned")
        if self.kubelet is None:
            raise internal("no kubelet is connected")
        return pod, self.kubelet

    def _connected(self, call: Call) -> tuple[str, Kubelet]:
        pod = self._registry.require(call.target, call.info.namespace, call.info.name).object
        container = log_container(pod, call.info.param("container"))
        return container, self._running(call)[1]

    def bind(self, call: Call) -> Response:
        """POST of a Binding: puts a pod on a node."""
        info = call.info
        options = change_options(info, call.user_agent, "CreateOptions")
        body = read_object(call, _BINDING, self._checks, options.validation)
        if (body.get("metadata") or {}).get("name") != info.name:
            raise bad_request("name in URL does not match name in Binding object")
        target = body.get("target") or {}
        if target.get("kind") not in (None, "", "Node"):
            words = f'Unsupported value: "{target["kind"]}": supported values: "Node", "<empty>"'
            raise invalid_reference("Binding", "", info.name, [("FieldValueNotSupported", "target.kind", words)])
        if not target.get("name"):
            raise invalid_reference("Binding", "", info.name, [("FieldValueRequired", "target.name", "Required value")])
        self._registry.bind(info.namespace, info.name, target["name"], dry_run=options.dry_run)
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        return respond(status, call.representation(), 201)

    def evict(self, call: Call) -> Response:
        """POST of an Eviction: deletes a pod unless a disruption budget forbids it."""
        info = call.info
        validation = change_options(info, call.user_agent, "CreateOptions").validation
        body = read_object(call, _EVICTION, self._checks, validation)
        pod = self._registry.require(call.target, info.namespace, info.name).object
        options, dry_run = delete_options(info, body.get("deleteOptions") or {})
        if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed", "Pending"):
            self._check_budgets(pod)
        self._registry.delete_object(call.target, info.namespace, info.name, options, dry_run=dry_run)
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        return respond(status, call.representation(), 201)

    def _check_budgets(self, pod: Obj) -> None:
        labels = pod["metadata"].get("labels") or {}
        for budget in self._registry.list("poddisruptionbudgets.policy", pod["metadata"]["namespace"]):
            selector = label_selector((budget.get("spec") or {}).get("selector"))
            if selector is None or not matches_labels(selector, labels):
                continue
            status = budget.get("status") or {}
            if status.get("disruptionsAllowed", 0) > 0:
                continue
            name = budget["metadata"]["name"]
            needs = (
                f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods "
                f"and has {status.get('currentHealthy', 0)} currently"
            )
            raise ApiError(
                429,
                "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.",
                {"causes": [{"reason": "DisruptionBudget", "message": needs}]},
            )


def _wanted_streams(call: Call) -> remotecommand.Wanted:
    wanted = remotecommand.Wanted(*(call.info.flag(name) for name in ("stdin", "stdout", "stderr", "tty")))
    if not (wanted.stdin or wanted.stdout or wanted.stderr):
        raise bad_request("you must specify at least 1 of stdin, stdout, stderr")
    return wanted


def all_containers(pod: Obj) -> list[str]:
    """Names of a pod's containers, init containers after the others."""
    spec = pod["spec"]
    kinds = ("containers", "initContainers", "ephemeralContainers")
    return [container["name"] for kind in kinds for container in spec.get(kind) or ()]


def log_container(pod: Obj, wanted: str) -> str:
    """The container that a request about a pod means.

    Raises:
        ApiError: 400, it is not in the pod, or it must be named because there are several.
    """
    name = pod["metadata"]["name"]
    if wanted:
        if wanted not in all_containers(pod):
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    containers = [container["name"] for container in pod["spec"]["containers"]]
    if len(containers) == 1:
        return str(containers[0])
    text = f"a container name must be specified for pod {name}, choose one of: [{' '.join(containers)}]"
    init = [container["name"] for container in pod["spec"].get("initContainers") or ()]
    if init:
        text += f" or one of the init containers: [{' '.join(init)}]"
    raise bad_request(text)


def _number(call: Call, name: str) -> int | None:
    text = call.info.param(name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        words = f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}" as "2006"'
        raise bad_request(words) from None


def _check_log_options(call: Call) -> None:
    problems: list[tuple[str, str, str]] = []
    for name, least in (("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)):
        value = _number(call, name)
        if value is not None and value < least:
            words = "must be greater than or equal to 0" if least == 0 else "must be greater than 0"
            problems.append(("FieldValueInvalid", name, f"Invalid value: {value}: {words}"))
    if call.info.param("sinceSeconds") and call.info.param("sinceTime"):
        words = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
        problems.append(("FieldValueForbidden", "", words))
    if problems:
        raise invalid_reference("PodLogOptions", "", call.info.name, problems)
