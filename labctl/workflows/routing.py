"""`labctl explain`, `labctl ingress routes`, `labctl ingress conf`: the routing table asked, and the file behind it.

Explanations are computed: from the objects that the API has, by the same compiler that the embedded controller uses.
So they work on every cluster, and say what ingress-nginx of that version would do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from labctl.embedded.ingress.controller.flags import FlagError, Flags, parse_flags
from labctl.embedded.ingress.explain import Snapshot, snapshot
from labctl.embedded.ingress.explain import explain as follow
from labctl.embedded.ingress.explain import routes as list_routes
from labctl.errors import ClusterError, UsageError
from labctl.kube.client import ApiRefusedError, KubeApi
from labctl.kube.exec import exec_in_pod
from labctl.model.cluster import Cluster
from labctl.model.routing import Explanation, Route, RoutingFacts
from labctl.objects.manifests import Obj
from labctl.objects.readiness import readiness
from labctl.providers.describe import CONTROLLER_SELECTOR

RULES = "1.11.2"
_READ = (
    ("ingressclasses.networking.k8s.io", "networking.k8s.io/v1", "IngressClass"),
    ("namespaces", "v1", "Namespace"),
    ("configmaps", "v1", "ConfigMap"),
    ("secrets", "v1", "Secret"),
    ("services", "v1", "Service"),
    ("endpointslices.discovery.k8s.io", "discovery.k8s.io/v1", "EndpointSlice"),
    ("ingresses.networking.k8s.io", "networking.k8s.io/v1", "Ingress"),
)
_CONF = ("cat", "/etc/nginx/nginx.conf")


def explain_url(
    cluster: Cluster, url: str, *, method: str = "GET", headers: Sequence[str] = ()
) -> tuple[Explanation, RoutingFacts]:
    """What would happen to a request, and from what that was computed.

    Args:
        cluster: Whose objects.
        url: Absolute http or https URL; its host is the Host header unless `headers` have one.
        method: HTTP method.
        headers: `Name: value`.

    Raises:
        UsageError: The URL or a header cannot be understood, or nginx would refuse such a request.
        ClusterError: The cluster cannot be reached or refuses.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is no http or https URL", hint="for example http://gyull.com/")
    pairs = [_header(text) for text in headers]
    made, facts = read_routing(cluster)
    try:
        return follow(made.configuration, url, method=method, headers=pairs), facts
    except ValueError as error:
        raise UsageError(f"such a request reaches no server: {error}") from error


def routing_table(cluster: Cluster) -> tuple[list[Route], RoutingFacts]:
    """The whole routing table, server by server in nginx's order.

    Raises:
        ClusterError: The cluster cannot be reached or refuses.
    """
    made, facts = read_routing(cluster)
    return list_routes(made.configuration), facts


def read_routing(cluster: Cluster) -> tuple[Snapshot, RoutingFacts]:
    """Compile what the API has, with the flags of the controller that is there."""
    api = KubeApi(cluster.kubeconfig, cluster.context)
    try:
        pods = _controllers(api)
        unread: list[str] = []
        made = snapshot(list(_objects(api, unread)), _flags(pods[0]) if pods else Flags())
    finally:
        api.close()
    warnings = [(name, text) for name, texts in made.warnings.items() for text in texts]
    warnings += [("(ConfigMap)", text) for text in made.configuration.settings.warnings]
    return made, RoutingFacts(_tag(pods[0]) if pods else "", RULES, tuple(warnings), tuple(unread))


def nginx_conf(cluster: Cluster) -> str:
    """The controller's nginx.conf, read from its pod.

    Raises:
        ClusterError: There is no controller pod that is ready, or the file cannot be read.
    """
    api = KubeApi(cluster.kubeconfig, cluster.context)
    try:
        ready = [pod for pod in _controllers(api) if readiness(pod).ready]
        if not ready:
            raise ClusterError(
                "no ready ingress-nginx controller pod was found",
                hint="`labctl ingress status`; `labctl up` installs one",
            )
        metadata = ready[0]["metadata"]
        done = exec_in_pod(api, metadata["namespace"], metadata["name"], _CONF)
    finally:
        api.close()
    if done.exit_code:
        words = done.stderr.decode(errors="replace").strip()
        raise ClusterError(f"`{' '.join(_CONF)}` in pod {metadata['name']} failed with {done.exit_code}: {words}")
    return done.text


def _controllers(api: KubeApi) -> list[Obj]:
    return api.list("v1", "Pod", selector=CONTROLLER_SELECTOR)


def _objects(api: KubeApi, unread: list[str]) -> Iterator[tuple[str, Obj]]:
    for resource, version, kind in _READ:
        try:
            objects = api.list(version, kind)
        except ApiRefusedError as error:
            if error.code != 403:
                raise
            unread.append(kind)
            continue
        yield from ((resource, obj) for obj in objects)


def _container(pod: Obj) -> Obj:
    containers: list[Obj] = pod["spec"]["containers"]
    return next((container for container in containers if container["name"] == "controller"), containers[0])


def _flags(pod: Obj) -> Flags:
    """The controller's flags as its container has them; what this version does not know is left out."""
    metadata = pod["metadata"]
    words = [
        str(word).replace("$(POD_NAMESPACE)", metadata["namespace"]).replace("$(POD_NAME)", metadata["name"])
        for word in _container(pod).get("args") or ()
    ]
    known = []
    for word in words:
        try:
            parse_flags([word])
        except FlagError:
            continue
        known.append(word)
    return parse_flags(known)


def _tag(pod: Obj) -> str:
    image = str(_container(pod).get("image", "")).partition("@")[0]
    return image.rpartition(":")[2] if ":" in image.rpartition("/")[2] else image


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageError(f"-H {text!r} is no header", hint="Name: value")
    return name.strip(), value.strip()
