from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from labctl.embedded.api import pki
from labctl.embedded.api.authorization import Attributes, Authorizer
from labctl.embedded.api.users import User
from labctl.errors import ClusterError
from tests.unit.embedded_api.server import CONFIG_MAPS, PODS, START, Server, pod

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def _token(server: Server, seconds: int = 3600) -> str:
    body = {"spec": {"expirationSeconds": seconds}}
    return str(server.post(f"{ACCOUNTS}/default/token", body).json["status"]["token"])


def _allow(server: Server, verbs: list[str], resources: list[str], **more: Any) -> None:
    rule = {"apiGroups": [""], "resources": resources, "verbs": verbs, **more}
    server.post(f"{RBAC}/namespaces/default/roles", {"metadata": {"name": "r"}, "rules": [rule]})
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": "default"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    binding = {"metadata": {"name": "b"}, "subjects": [subject], "roleRef": reference}
    server.post(f"{RBAC}/namespaces/default/rolebindings", binding)


@pytest.mark.parametrize("target", ["/", "/version", "/healthz", "/api/v1/namespaces", "/nosuch"])
def test_without_credentials_everything_is_401(server: Server, target: str) -> None:
    answer = server.get(target, anonymous=True)
    assert answer.status == 401
    assert answer.json == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Unauthorized",
        "reason": "Unauthorized",
        "code": 401,
    }


def test_a_service_account_may_do_what_roles_say(server: Server) -> None:
    token = _token(server)
    refused = server.get(PODS, token=token)
    assert refused.status == 403
    assert refused.message == (
        'pods is forbidden: User "system:serviceaccount:default:default" cannot list resource "pods" in API group "" '
        'in the namespace "default"'
    )
    assert server.get("/version", token=token).status == 200
    assert server.get("/metrics", token=token).message.endswith('cannot get path "/metrics"')
    _allow(server, ["list", "get"], ["pods"])
    assert server.get(PODS, token=token).status == 200
    denied = server.delete(f"{PODS}/p", token=token)
    assert denied.json["details"] == {"name": "p", "kind": "pods"}
    assert server.get("/api/v1/nodes", token=token).message.endswith('in API group "" at the cluster scope')


def test_rules_may_name_objects_and_subresources(server: Server) -> None:
    token = _token(server)
    _allow(server, ["get"], ["configmaps", "pods/log"], resourceNames=["mine", "p"])
    server.post(CONFIG_MAPS, {"metadata": {"name": "mine"}})
    server.post(CONFIG_MAPS, {"metadata": {"name": "other"}})
    server.post(PODS, pod())
    assert server.get(f"{CONFIG_MAPS}/mine", token=token).status == 200
    assert server.get(f"{CONFIG_MAPS}/other", token=token).status == 403
    assert server.get(f"{PODS}/p/log", token=token).status == 200
    assert server.get(f"{PODS}/p", token=token).status == 403


def test_tokens_expire_and_end_with_their_account(server: Server) -> None:
    token = _token(server, 600)
    assert server.get("/api", token=token).status == 200
    server.time.pass_(599)
    assert server.get("/api", token=token).status == 200
    server.time.pass_(2)
    assert server.get("/api", token=token).status == 401
    other = _token(server)
    server.delete(f"{ACCOUNTS}/default")
    server.post(ACCOUNTS, {"metadata": {"name": "default"}})
    assert server.get("/api", token=other).status == 401


def test_a_tokens_claims_and_signature_are_checked(server: Server) -> None:
    token = _token(server)
    head, claims, signature = token.split(".")
    flipped = signature[:-2] + ("A" if signature[-2] != "A" else "B") + signature[-1]
    for bad in ("bad", "a.b.c", f"{head}.{claims}.{flipped}", f"{head}.{head}.{signature}", f"{head}.{claims}.", "é"):
        assert server.get("/api", token=bad).status == 401
    short = server.post(f"{ACCOUNTS}/default/token", {"spec": {"expirationSeconds": 60}})
    assert "may not specify a duration less than 10 minutes" in short.message


def test_a_bound_token_ends_with_its_pod(server: Server) -> None:
    server.post(PODS, pod())
    body = {"spec": {"boundObjectRef": {"kind": "Pod", "name": "p", "apiVersion": "v1"}}}
    token = server.post(f"{ACCOUNTS}/default/token", body).json["status"]["token"]
    assert server.get("/api", token=token).status == 200
    server.delete(f"{PODS}/p?gracePeriodSeconds=0")
    assert server.get("/api", token=token).status == 401


def test_reviews_say_who_one_is_and_what_one_may(server: Server) -> None:
    group = "/apis/authorization.k8s.io/v1"
    who = server.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}).json["status"]["userInfo"]
    assert who["username"] == "system:admin"
    assert who["groups"] == ["system:masters", "system:authenticated"]
    wanted = {"spec": {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}}}
    assert server.post(f"{group}/selfsubjectaccessreviews", wanted).json["status"] == {"allowed": True}
    wanted["spec"]["user"] = "jane"  # type: ignore[assignment]
    assert server.post(f"{group}/subjectaccessreviews", wanted).json["status"] == {"allowed": False}
    rules = server.post(f"{group}/selfsubjectrulesreviews", {"spec": {"namespace": "default"}}).json["status"]
    assert {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]} in rules["resourceRules"]
    token = _token(server)
    review = server.post("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": token}}).json["status"]
    assert review["user"]["username"] == "system:serviceaccount:default:default"
    bad = server.post("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "x"}}).json["status"]
    assert "authenticated" not in bad


def test_whoever_may_impersonate_acts_as_another(server: Server) -> None:
    headers = {"Impersonate-User": "jane", "Impersonate-Group": "devs"}
    refused = server.get(PODS, headers=headers)
    assert 'User "jane" cannot list resource "pods"' in refused.message
    token = _token(server)
    denied = server.get(PODS, headers={"Impersonate-User": "system:admin"}, token=token)
    assert 'users "system:admin" is forbidden' in denied.message


def test_cluster_roles_bind_everywhere_or_in_one_namespace() -> None:
    class Policies:
        def get(self, resource: str, namespace: str, name: str) -> Any:
            return {"rules": [{"apiGroups": ["apps"], "resources": ["*/scale", "deployments"], "verbs": ["*"]}]}

        def list(self, resource: str, namespace: str = "") -> Any:
            if not resource.startswith("rolebindings") or namespace != "a":
                return []
            reference = {"kind": "ClusterRole", "name": "x"}
            return [{"metadata": {"name": "b"}, "subjects": [{"kind": "Group", "name": "g"}], "roleRef": reference}]

    authorizer = Authorizer(Policies())
    user = User("u", ("g",))
    wanted = Attributes("get", "apps", "deployments", namespace="a")
    assert authorizer.decide(user, wanted).reason == (
        'RBAC: allowed by RoleBinding "b/a" of ClusterRole "x" to Group "g"'
    )
    assert not authorizer.decide(user, Attributes("get", "apps", "deployments", namespace="b")).allowed
    assert authorizer.decide(user, Attributes("update", "apps", "statefulsets", "scale", "a")).allowed
    assert not authorizer.decide(user, Attributes("update", "apps", "statefulsets", "", "a")).allowed
    assert not authorizer.decide(User("u"), wanted).allowed


def _request(common_name: str, organization: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [(NameOID.COMMON_NAME, common_name), (NameOID.ORGANIZATION_NAME, organization)]
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in names])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def test_a_signed_client_certificate_names_its_user(server: Server) -> None:
    pem = pki.sign_client(server.pki.client_ca, _request("jane", "devs"), timedelta(days=1), START)
    certificate = x509.load_pem_x509_certificate(pem)
    certificate.verify_directly_issued_by(server.pki.client_ca.certificate)
    authenticator = server.api.app._parts.authenticator
    user = authenticator.certificate_user(certificate.public_bytes(serialization.Encoding.DER))
    assert (user.name, user.groups) == ("jane", ("devs", "system:authenticated"))


def test_credentials_are_kept_private_and_renewed_when_they_must(server: Server) -> None:
    directory = server.pki.directory
    for path in directory.glob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700
    again = pki.load_or_create(directory, ["127.0.0.1"])
    assert again.serving.certificate == server.pki.serving.certificate
    wider = pki.load_or_create(directory, ["127.0.0.1", "10.0.0.1", "kubernetes"])
    assert wider.serving.certificate != server.pki.serving.certificate
    assert wider.server_ca.certificate == server.pki.server_ca.certificate
    late = pki.load_or_create(directory, ["127.0.0.1"], now=START + timedelta(days=300))
    assert late.admin.certificate != again.admin.certificate
    (directory / "client-ca.crt").write_text("garbage")
    with pytest.raises(Exception, match="a certificate or key cannot be read"):
        pki.load_or_create(directory, ["127.0.0.1"])


def test_a_key_that_cannot_be_written_is_the_clusters_error(tmp_path: Path) -> None:
    (tmp_path / ".service.key.labctl-partial").mkdir()
    with pytest.raises(ClusterError, match=r"cannot write .*/service\.key: Is a directory") as caught:
        pki.load_or_create(tmp_path, ["127.0.0.1"])
    assert caught.value.hint == "check the state directory's rights"
    assert not (tmp_path / "service.key").exists()
