"""What docs/differences.md says the embedded cluster does otherwise: each row is seen here, or in the test it names."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from tests.tools import tool

API = ("127.0.66.10", 6443)

pytestmark = pytest.mark.skipif(tool("kubectl") is None, reason="the package that carries kubectl is not installed")


def pod(name: str, image: str, **container: object) -> Mapping[str, object]:
    spec = {"containers": [{"name": "main", "image": image, **container}], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


@pytest.fixture
def apply(study: Shell, tmp_path: Path) -> Iterator[Shell]:
    """A shell whose namespace `other` is new; what is in it goes at the end."""
    assert study.kubectl("create", "namespace", "other").code == 0
    yield study
    study.kubectl("delete", "namespace", "other", "--timeout=30s")


def create(shell: Shell, *objects: Mapping[str, object]) -> None:
    file = shell.home / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
    done = shell.kubectl("-n", "other", "apply", "-f", str(file))
    assert done.code == 0, done.err


def test_images_are_those_of_the_catalogue(apply: Shell) -> None:
    create(apply, pod("stranger", "example.com/stranger:1"))
    waiting = apply.kubectl("-n", "other", "wait", "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}"
                            "=ErrImagePull", "pod/stranger", "--timeout=10s")  # fmt: skip
    assert waiting.code == 0, waiting.err
    assert "registry.k8s.io/echoserver" in apply.kubectl("-n", "other", "describe", "pod", "stranger").out


def test_starting_containers_are_asked_early(apply: Shell) -> None:
    probe = {"httpGet": {"path": "/", "port": 8080}, "initialDelaySeconds": 60}
    begun = time.monotonic()
    create(apply, pod("slow", "registry.k8s.io/echoserver:1.5", readinessProbe=probe))
    ready = apply.kubectl("-n", "other", "wait", "--for=condition=Ready", "pod/slow", "--timeout=30s")
    assert ready.code == 0, ready.err
    assert time.monotonic() - begun < 30


def test_network_policies_are_stored_and_not_enforced(apply: Shell) -> None:
    deny = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}  # fmt: skip
    create(apply, deny, pod("web", "registry.k8s.io/echoserver:1.5"), pod("client", "busybox", command=["sleep", "60"]))
    assert apply.kubectl("-n", "other", "wait", "--for=condition=Ready", "pod", "--all", "--timeout=20s").code == 0
    address = apply.kubectl("-n", "other", "get", "pod", "web", "-o", "jsonpath={.status.podIP}").out
    answer = apply.kubectl("-n", "other", "exec", "client", "--", "wget", "-qO-", f"http://{address}:8080/")
    assert "Hostname: web" in answer.out


def test_dns_answers_without_pods_of_its_own(apply: Shell) -> None:
    assert apply.kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", "name").out == ""
    create(apply, pod("client", "busybox", command=["sleep", "60"]))
    assert apply.kubectl("-n", "other", "wait", "--for=condition=Ready", "pod/client", "--timeout=20s").code == 0
    answer = apply.kubectl("-n", "other", "exec", "client", "--", "nslookup", "kubernetes.default")
    assert "127.67.0.1" in answer.out


def test_there_are_no_metrics(study: Shell) -> None:
    done = study.kubectl("top", "nodes")
    assert done.code == 1
    assert "Metrics API not available" in done.err


def test_the_controller_has_one_worker(study: Shell) -> None:
    assert study.labctl("run", "--keep", "path").code == 0
    done = study.labctl("probe", "http://127.0.66.10:30080/admin", "-c", "1", "-o", "json")
    hits = sorted(hits["hits"] for hits in done.json["labs"][0]["checks"][0]["hits"])
    assert hits == [33, 33, 34]


def test_addresses_are_loopback_addresses(study: Shell) -> None:
    addresses = study.kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.addresses[0].address}").out.split()
    addresses += study.kubectl("get", "pods,svc", "-A", "-o", "jsonpath={.items[*].status.podIP}").out.split()
    assert len(addresses) > 4
    assert all(address.startswith("127.") for address in addresses)


def test_webhooks_are_asked_about_clients_changes_only(apply: Shell) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    hook = {
        "name": "nobody.example.com",
        "clientConfig": {"service": {"name": "nobody", "namespace": "other"}},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    create(apply, {**kind, "metadata": {"name": "nobody"}, "webhooks": [hook]})
    try:
        refused = apply.kubectl("-n", "other", "run", "asked", "--image=nginx")
        assert refused.code == 1
        assert refused.err.startswith(
            'Error from server (InternalError): Internal error occurred: failed calling webhook "nobody.example.com": '
            'failed to call webhook: Post "https://nobody.other.svc:443/?timeout=10s": service "nobody" not found'
        )
        assert apply.kubectl("-n", "other", "create", "deployment", "web", "--image=nginx").code == 0
        rollout = apply.kubectl("-n", "other", "rollout", "status", "deploy/web", "--timeout=20s")
        assert rollout.code == 0, rollout.err
    finally:
        apply.kubectl("delete", "validatingwebhookconfiguration", "nobody")


def test_the_controllers_webhook_judges_ingresses(apply: Shell) -> None:
    annotations = {"nginx.ingress.kubernetes.io/configuration-snippet": "return 204;"}
    backend = {"service": {"name": "x", "port": {"number": 80}}}
    rule = {"host": "bad.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
               "metadata": {"name": "bad", "annotations": annotations},
               "spec": {"ingressClassName": "nginx", "rules": [rule]}}  # fmt: skip
    file = apply.home / "bad.json"
    file.write_text(json.dumps(ingress))
    done = apply.kubectl("-n", "other", "apply", "-f", str(file))
    assert done.code == 1
    assert 'admission webhook "validate.nginx.ingress.kubernetes.io" denied the request: ' in done.err


def test_http_1_1_only(study: Shell) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    for place, protocol in ((API, "http/1.1"), (("127.0.66.10", 30443), "h2")):
        with socket.create_connection(place, timeout=5) as plain, context.wrap_socket(plain) as tls:
            assert tls.selected_alpn_protocol() == protocol, place
