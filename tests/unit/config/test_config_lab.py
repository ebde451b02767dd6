from __future__ import annotations

from pathlib import Path

import pytest

from labctl.config.lab import load_lab, parse_lab
from labctl.errors import ConfigError, Problem, UsageError
from labctl.model.actions import ApplyStep, CertificateStep, PatchStep
from labctl.model.lab import (
    Distribution,
    Expectation,
    ProbeStep,
    Split,
    Target,
    TargetKind,
    TlsMode,
)
from labctl.model.probe import Connection, CountBy, KeyKind

HEAD = "apiVersion: labctl/v1\nkind: Lab\ntitle: T\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lab = tmp_path / "mine"
    lab.mkdir()
    (lab / "web.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", encoding="utf-8")
    return lab


def problems(text: str, folder: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_lab(text, "lab.yaml", folder)
    return caught.value.problems


def test_everything_of_a_lab_is_read(folder: Path) -> None:
    lab = parse_lab(
        """\
apiVersion: labctl/v1
kind: Lab
title: My lab
teaches: >
  It teaches.
namespace: web
versions: {v1: "one", v2: "two"}
unsupported: {embedded: "no kernel tables"}
needsIngress: false
steps:
  - apply: web.yaml
  - name: cert
    certificate: {secret: tls, commonName: a.com, organization: o, days: 30, rsaBits: 4096}
  - name: p
    title: P
    probe:
      scheme: https
      host: a.com
      path: /x?y=1
      method: HEAD
      headers: {X-A: b, X-C: d}
      cookieJar: true
      count: 7
      concurrency: 2
      connection: keep-alive
      by: version
      tls: verify
      caSecret: tls
      timeout: 1.5
      target: {kind: node-port, service: svc, port: 80, node: each}
    expect:
      status: [200, 204]
      split: {distribution: weighted, weights: {v1: 90, v2: 10}}
      only: [v1, v2]
      headers: {Server: "nginx.*"}
      absentHeaders: [Set-Cookie]
      body: [hello]
  - name: q
    patch: {kind: Ingress, name: i, namespace: other, merge: {metadata: {annotations: {a: null}}}}
""",
        "lab.yaml",
        folder,
    )
    assert (lab.name, lab.title, lab.teaches, lab.namespace) == ("mine", "My lab", "It teaches.", "web")
    assert (lab.unsupported, lab.needs_ingress) == ({"embedded": "no kernel tables"}, False)
    assert lab.steps == (
        ApplyStep("apply", ("web.yaml",)),
        CertificateStep("cert", "tls", "a.com", "o", 30, 4096),
        ProbeStep(
            name="p",
            title="P",
            scheme="https",
            host="a.com",
            path="/x?y=1",
            method="HEAD",
            headers=(("X-A", "b"), ("X-C", "d")),
            cookie_jar=True,
            count=7,
            concurrency=2,
            connection=Connection.KEEP_ALIVE,
            by=CountBy(KeyKind.VERSION),
            tls=TlsMode.VERIFY,
            ca_secret="tls",
            timeout=1.5,
            target=Target(TargetKind.NODE_PORT, "svc", "80", "each"),
            expect=Expectation(
                status=(200, 204),
                split=Split(Distribution.WEIGHTED, {"v1": 90.0, "v2": 10.0}),
                only=("v1", "v2"),
                headers={"Server": "nginx.*"},
                absent_headers=("Set-Cookie",),
                body=("hello",),
            ),
        ),
        PatchStep("q", "Ingress", "i", {"metadata": {"annotations": {"a": None}}}, "other"),
    )


def test_a_probe_needs_no_more_than_a_name(folder: Path) -> None:
    lab = parse_lab(f"{HEAD}steps: [{{name: p, probe: {{}}}}]\n", "lab.yaml", folder)
    assert lab.steps == (ProbeStep("p", Expectation()),)
    assert lab.namespace == "default"


def test_an_expected_error_expects_no_status(folder: Path) -> None:
    text = f"{HEAD}steps: [{{name: p, probe: {{}}, expect: {{error: CURLE_OPERATION_TIMEDOUT}}}}]\n"
    (step,) = parse_lab(text, "lab.yaml", folder).steps
    assert isinstance(step, ProbeStep)
    assert step.expect == Expectation(status=(), error="CURLE_OPERATION_TIMEDOUT")


def test_counting_by_a_header_names_it(folder: Path) -> None:
    text = f"{HEAD}steps: [{{name: p, probe: {{by: 'header:X-Pod'}}}}]\n"
    (step,) = parse_lab(text, "lab.yaml", folder).steps
    assert isinstance(step, ProbeStep)
    assert step.by == CountBy(KeyKind.HEADER, "X-Pod")


@pytest.mark.parametrize(
    ("step", "message", "hint"),
    [
        ("apply: [wib.yaml]", "there is no wib.yaml", "did you mean web.yaml?"),
        ("apply: []", "names no manifest", ""),
        ("apply: ../other/x.yaml", "lies outside the lab's folder", "own manifests"),
        ("aply: [web.yaml]", "a step does one thing", "did you mean 'apply'?"),
        ("apply: web.yaml, probe: {}", "a step does one thing", "apply and probe"),
        ("probe: {}", "the key 'name' is missing", ""),
        ("name: p, probe: {pth: /}", "unknown key 'pth'", "did you mean 'path'?"),
        ("name: p, probe: {path: admin}", "'admin' is not a path", ""),
        ("name: p, probe: {host: 'a b'}", "'a b' is not a host name", ""),
        ("name: p, probe: {scheme: htps}", "'htps' is not one of http, https", "did you mean"),
        ("name: p, probe: {method: FETCH}", "'FETCH' is not one of GET", ""),
        ("name: p, probe: {count: 0}", "0 is too small: at least 1", ""),
        ("name: p, probe: {count: many}", "must be a whole number, not text", ""),
        ("name: p, probe: {concurrency: 100000}", "too large", ""),
        ("name: p, probe: {timeout: 0}", "0 is too small: more than 0", ""),
        ("name: p, probe: {connection: kept}", "'kept' is not one of new or keep-alive", ""),
        ("name: p, probe: {by: pods}", "'pods' is not one of pod", "did you mean 'pod'?"),
        ("name: p, probe: {by: header}", "'header' is not one of", "header:Server"),
        ("name: p, probe: {headers: {'a b': c}}", "'a b' is not a header name", ""),
        ("name: p, probe: {tls: insecure}", "tls needs `scheme: https`", ""),
        ("name: p, probe: {scheme: https}", "no certificate to verify with", "caSecret"),
        ("name: p, probe: {scheme: https, tls: insecure, caSecret: x}", "is not used with `tls: insecure`", ""),
        ("name: p, probe: {target: {kind: node-port}}", "needs `service:`", ""),
        ("name: p, probe: {target: {service: x}}", "a target of `kind: ingress` has no service", ""),
        ("name: p, probe: {target: {kind: load-balancer, service: x, node: y}}", "address of its own", ""),
        ("name: p, probe: {}, expect: {status: 42}", "42 is not an HTTP status", ""),
        ("name: p, probe: {}, expect: {status: ok}", "must be a whole number or a list of them", ""),
        ("name: p, probe: {}, expect: {body: ['(']}", "'(' is not a regular expression", ""),
        ("name: p, probe: {}, expect: {headers: {A: '['}}", "'[' is not a regular expression", ""),
        ("name: p, probe: {}, expect: {error: CURLE_PEER_FAILED}", "is not an error", "CURLE_PEER_FAILED_VERIF"),
        ("name: p, probe: {}, expect: {error: CURLE_GOT_NOTHING, body: [x]}", "has no answer", ""),
        ("name: p, probe: {}, expect: {split: {distribution: weighted}}", "needs `weights:`", "v1: 90"),
        ("name: p, probe: {}, expect: {split: {distribution: evenly}}", "'evenly' is not one of", ""),
        ("name: p, probe: {}, expect: {split: {distribution: random, weights: {a: 1}}}", "has no weights", ""),
        ("name: p, probe: {}, expect: {split: {distribution: weighted, weights: {a: -1}}}", "not negative", ""),
        ("name: p, probe: {by: status}, expect: {split: {distribution: random, podsOf: s}}", "counts pods", ""),
        ("name: p, probe: {}, expect: {split: {distribution: random, workers: 2}}", "nginx's workers", ""),
        ("name: p, probe: {by: version}, expect: {only: [v3]}", "'v3' is not one of the lab's versions", "v1"),
        ("name: p, patch: {kind: Ingress, name: x}", "has no `merge:`", "merge patch"),
        ("patch: {kind: Ingress, name: x, merge: {a: 1}}", "the key 'name' is missing", ""),
        ("certificate: {secret: s, commonName: 'a b'}", "'a b' is not a host name", ""),
        ("certificate: {secret: s, commonName: a.com, rsaBits: 512}", "512 is too small: at least 2048", ""),
    ],
)
def test_a_mistake_in_a_step_is_named(step: str, message: str, hint: str, folder: Path) -> None:
    text = f"{HEAD}versions: {{v1: x}}\nsteps:\n  - {{{step}}}\n  - {{name: last, probe: {{}}}}\n"
    (problem,) = problems(text, folder)
    assert problem.position.line == 6
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "the key 'steps' is missing"),
        ("steps: []\n", "a lab needs at least one step"),
        ("steps: [{apply: web.yaml}]\n", "no step checks anything"),
        ("steps: [{name: a, probe: {}}, {name: a, probe: {}}]\n", "two steps named 'a'"),
        ("steps: [{name: a, probe: {}}]\nunsupported: {shh: x}\n", "'shh' is not one of embedded, ssh or kubeconfig"),
        ("steps: [{name: a, probe: {}}]\nversions: {v1: '['}\n", "is not a regular expression"),
        ("steps: [{name: a, probe: {}}]\nnamespace: Web\n", "'Web' is not a name"),
        ("steps: [{name: a, probe: {}}]\nstepz: []\n", "unknown key 'stepz'"),
    ],
)
def test_a_mistake_in_a_lab_is_named(body: str, message: str, folder: Path) -> None:
    (problem,) = problems(HEAD + body, folder)
    assert message in problem.message


def test_a_folder_without_a_lab_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no lab here"):
        load_lab(tmp_path)


def test_a_folder_whose_name_is_no_name_is_refused(tmp_path: Path) -> None:
    (problem,) = problems(f"{HEAD}steps: [{{name: a, probe: {{}}}}]\n", tmp_path / "My Lab")
    assert "the folder's name 'My Lab'" in problem.message
