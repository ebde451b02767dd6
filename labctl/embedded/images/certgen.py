"""The image `registry.k8s.io/ingress-nginx/kube-webhook-certgen`, which the ingress-nginx chart's hook Jobs run.

`create` makes a certificate for the admission webhook and keeps it in a Secret, unless it is there; `patch` writes its
authority into the webhook configurations. Source: ingress-nginx `images/kube-webhook-certgen`.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from labctl.embedded.clientset import ApiError, Clientset, Obj
from labctl.embedded.images.catalogue import Content, Entry
from labctl.embedded.images.container import CommandImage
from labctl.embedded.images.filesystem import Executable, layer
from labctl.embedded.images.process import Exit, Process

_PROGRAM = "/kube-webhook-certgen"
_VALIDITY = timedelta(days=36500)
_KINDS = (("validating", "validatingwebhookconfigurations"), ("mutating", "mutatingwebhookconfigurations"))
_GROUP = "admissionregistration.k8s.io"


def certgen_entry() -> Entry:
    """The catalogue's entry."""
    image = CommandImage(entrypoint=(_PROGRAM,))
    rootfs = layer({_PROGRAM: Executable(_run)})
    repositories = (
        "registry.k8s.io/ingress-nginx/kube-webhook-certgen",
        "docker.io/jettech/kube-webhook-certgen",
    )
    return Entry(repositories, lambda tag: Content(image, rootfs), size_bytes=23_000_000, listed=False)


async def _run(process: Process) -> int:
    command, flags = (process.argv[1] if len(process.argv) > 1 else ""), _flags(process.argv[2:])
    clientset = process.system.context.clientset
    try:
        if command == "create":
            said = _create(clientset, flags)
        elif command == "patch":
            said = _patch(clientset, flags)
        else:
            raise Exit(1, f'Error: unknown command "{command}" for "kube-webhook-certgen"\n')
    except ApiError as error:
        raise Exit(1, _line("fatal", error.message)) from error
    await process.stderr.write(_line("info", said).encode())
    return 0


def _flags(words: tuple[str, ...]) -> dict[str, str]:
    """`--name=value` and `--name value`; a flag alone is true."""
    found: dict[str, str] = {}
    rest = list(words)
    while rest:
        name, equals, value = rest.pop(0).removeprefix("--").partition("=")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        found[name] = value
    return found


def _line(level: str, message: str) -> str:
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f'{{"level":"{level}","msg":"{message}","time":"{moment}"}}\n'


def _create(clientset: Clientset, flags: Mapping[str, str]) -> str:
    namespace, name = flags.get("namespace", ""), flags.get("secret-name", "")
    if clientset.get("secrets", namespace, name) is not None:
        return "secret already exists"
    parts = _certificates(tuple(host for host in flags.get("host", "").split(",") if host))
    names = {"ca": "ca", "cert": flags.get("cert-name", "cert"), "key": flags.get("key-name", "key")}
    data = {names[part]: base64.b64encode(pem).decode() for part, pem in parts.items()}
    secret: Obj = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}
    clientset.create("secrets", {**secret, "type": "Opaque", "data": data})
    return "creating new secret"


def _patch(clientset: Clientset, flags: Mapping[str, str]) -> str:
    namespace, name = flags.get("namespace", ""), flags.get("secret-name", "")
    secret = clientset.get("secrets", namespace, name)
    if secret is None:
        raise Exit(1, _line("fatal", f"no secret with '{name}' in '{namespace}'"))
    for kind, plural in _KINDS:
        if flags.get(f"patch-{kind}", "true") != "true":
            continue
        found = clientset.get(f"{plural}.{_GROUP}", "", flags.get("webhook-name", ""))
        if found is None:
            raise Exit(1, _line("fatal", f"failed getting {kind} webhook {flags.get('webhook-name', '')}"))
        changed = copy.deepcopy(found)
        for hook in changed.get("webhooks") or ():
            hook["clientConfig"]["caBundle"] = secret["data"]["ca"]
            if flags.get("patch-failure-policy"):
                hook["failurePolicy"] = flags["patch-failure-policy"]
        clientset.update(f"{plural}.{_GROUP}", changed)
    return "Patched hook(s)"


def _certificates(hosts: tuple[str, ...]) -> Mapping[str, bytes]:
    """An authority, and a certificate for the hosts with its key (ECDSA P-256), as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.now(UTC)

    def named(organization: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])

    def builder(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(named(subject)).issuer_name(named("nil1"))
        made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
        return made.not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + _VALIDITY)

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = builder("nil1", ca_key).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    serving = builder("nil2", key).add_extension(names, critical=False)
    pem = serialization.Encoding.PEM
    return {
        "ca": authority.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        "cert": serving.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        "key": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    }
