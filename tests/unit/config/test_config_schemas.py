from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from labctl.config.data import data_dir
from labctl.config.decode import Fields
from labctl.config.expectation import CURL_ERRORS
from labctl.config.inventory import parse_inventory
from labctl.config.lab import parse_lab
from labctl.config.schemas import schema_path
from labctl.config.template import cluster_yaml
from labctl.errors import ConfigError
from labctl.model.inventory import Provider

CLUSTER = json.loads(schema_path("Cluster").read_text(encoding="utf-8"))
LAB = json.loads(schema_path("Lab").read_text(encoding="utf-8"))
LABS = sorted(data_dir("labs").glob("*/lab.yaml"))

FULL_CLUSTER = """\
apiVersion: labctl/v1
kind: Cluster
name: a
provider: ssh
nodes: [{name: s, role: server, address: 10.0.0.1, labels: {a: b}, taints: [], ssh: {user: root}}]
network: {apiPort: 1, clusterCidr: 172.16.0.0/16, serviceCidr: 10.9.0.0/24, proxyMode: ipvs, nodePorts: 1-2}
ingress: {install: true, namespace: n, release: r, chartVersion: 4.11.2, ingressClass: c, values: {}}
ssh: {user: u, port: 22, identityFile: f, proxyJump: j, password: {env: P}, sudoPassword: {file: f}}
k3s: {}
"""
FULL_LAB = """\
apiVersion: labctl/v1
kind: Lab
title: T
teaches: x
namespace: n
versions: {v: x}
unsupported: {ssh: x}
needsIngress: false
needs: {nodes: 1, servers: 1, shell: true}
ingressNginx: x
exclusive: true
reference: x
steps:
  - {name: c, title: t, certificate: {secret: s, commonName: a.b, organization: o, days: 1, rsaBits: 2048}}
  - {name: q, patch: {kind: K, name: n, namespace: m, merge: {a: null}}}
  - name: p
    probe:
      {scheme: https, host: a, path: /, method: GET, headers: {a: b}, cookieJar: true, count: 1, concurrency: 1,
       connection: new, by: pod, tls: verify, caSecret: s, timeout: 1, tokenOf: t, target: {kind: node-port, service: s, port: 1, node: n}}
    expect:
      {status: 200, split: {distribution: round-robin, podsOf: s, workers: 2}, only: [a], headers: {a: b},
       absentHeaders: [c], body: d, lost: 1}
    during: {delete: {kind: K, name: n, namespace: m, grace: 1}}
  - name: x
    exec: {in: node/a, command: [a], count: (a), sudo: true, timeout: 1, changes: true, save: /f}
    during: {probe: {}}
    expect: {exitCode: 0, output: [a], absent: b, matches: [1, 2], split: {distribution: sticky}}
  - {name: l, log: {in: controller, count: a, seconds: 1}, expect: {matches: 0}}
  - {name: o, object: {kind: K, name: n, namespace: m}, expect: {fields: {a.b: c}}}
  - {name: r, refused: web.yaml, expect: {message: m}}
  - {name: d, delete: {kind: K, name: n}}
  - {name: e, probe: {}, expect: {error: CURLE_GOT_NOTHING}}
  - {name: w, probe: {}, expect: {split: {distribution: weighted, weights: {a: 1}}}}
  - {apply: web.yaml}
"""


def accepted_by_decoder(kind: str, text: str, folder: Path) -> bool:
    try:
        if kind == "Cluster":
            parse_inventory(text, "f")
        else:
            parse_lab(text, "f", folder)
    except ConfigError:
        return False
    return True


def accepted_by_schema(kind: str, text: str) -> bool:
    schema = CLUSTER if kind == "Cluster" else LAB
    return bool(jsonschema.Draft202012Validator(schema).is_valid(yaml.safe_load(text)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lab = tmp_path / "mine"
    lab.mkdir()
    (lab / "web.yaml").write_text("", encoding="utf-8")
    return lab


@pytest.mark.parametrize("schema", [CLUSTER, LAB], ids=["cluster", "lab"])
def test_the_schemas_are_schemas(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", LABS, ids=[path.parent.name for path in LABS])
def test_the_shipped_labs_are_valid(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), LAB)


@pytest.mark.parametrize("provider", list(Provider))
def test_the_templates_are_valid(provider: Provider) -> None:
    jsonschema.validate(yaml.safe_load(cluster_yaml(provider)), CLUSTER)


def test_decoder_and_schema_know_the_same_keys(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    asked: dict[str, set[str]] = {}
    done = Fields.done

    def recording(self: Fields) -> None:
        place = ".".join("*" if isinstance(part, int) else part for part in self.path)
        asked.setdefault(place, set()).update(self.asked)
        done(self)

    monkeypatch.setattr(Fields, "done", recording)
    parse_inventory(FULL_CLUSTER, "f")
    parse_inventory("apiVersion: labctl/v1\nkind: Cluster\nprovider: kubeconfig\nkubeconfig: {}\n", "f")
    found = {f"Cluster {place}": keys for place, keys in asked.items()}
    asked.clear()
    parse_lab(FULL_LAB, "f", folder)
    found |= {f"Lab {place}": keys for place, keys in asked.items()}
    assert len(found) > 15
    for place, keys in found.items():
        kind, _, path = place.partition(" ")
        known = known_keys(CLUSTER if kind == "Cluster" else LAB, path)
        # Only a probe may stand under `during`, so that its `expect` has a part of the keys.
        assert keys == known if path != "steps.*.during.expect" else keys < known, place


def known_keys(schema: dict[str, Any], path: str) -> set[str]:
    node = schema
    for part in path.split(".") if path else []:
        node = node["items"] if part == "*" else node["properties"][part]
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return set(node["properties"])


def test_both_know_the_same_errors_of_curl() -> None:
    assert tuple(LAB["$defs"]["expect"]["properties"]["error"]["enum"]) == CURL_ERRORS


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Cluster", FULL_CLUSTER),
        ("Cluster", "apiVersion: labctl/v1\nkind: Cluster\n"),
        ("Lab", FULL_LAB),
        ("Lab", "apiVersion: labctl/v1\nkind: Lab\ntitle: T\nsteps: [{name: a, probe: {}}]\n"),
    ],
)
def test_both_accept(kind: str, text: str, folder: Path) -> None:
    assert accepted_by_decoder(kind, text, folder)
    assert accepted_by_schema(kind, text)


@pytest.mark.parametrize(
    "change",
    [
        "apiVersion: labctl/v2",
        "kind: Lab",
        "name: My Lab",
        "name: 3",
        "provider: vagrant",
        "nodes: []",
        "nodes: [{name: a, address: 127.0.0.1}]",
        "nodes: [{name: a, role: boss, address: 127.0.0.1}]",
        "network: {apiPort: 70000}",
        "network: {clusterCidr: 172.16}",
        "network: {nodePorts: 30000}",
        "network: {proxyMode: nft}",
        "ingress: {chartVersion: newest}",
        "ingress: {install: maybe}",
        "ssh: {password: plain}",
        "ssh: {password: {env: A, file: b}}",
        "ssh: {user: ''}",
        "nope: 1",
    ],
)
def test_both_refuse_a_cluster_with(change: str, folder: Path) -> None:
    document = yaml.safe_load(FULL_CLUSTER) | yaml.safe_load(change)
    text = yaml.safe_dump(document)
    assert not accepted_by_decoder("Cluster", text, folder)
    assert not accepted_by_schema("Cluster", text)


@pytest.mark.parametrize(
    "step",
    [
        "{}",
        "{name: a}",
        "{probe: {}}",
        "{name: a, probe: {}, apply: web.yaml}",
        "{apply: []}",
        "{name: A b, probe: {}}",
        "{name: a, probe: {count: 0}}",
        "{name: a, probe: {path: x}}",
        "{name: a, probe: {method: X}}",
        "{name: a, probe: {by: pods}}",
        "{name: a, probe: {timeout: 0}}",
        "{name: a, probe: {target: {kind: pod}}}",
        "{name: a, probe: {}, expect: {status: 99}}",
        "{name: a, probe: {}, expect: {status: ok}}",
        "{name: a, probe: {}, expect: {error: X}}",
        "{name: a, probe: {}, expect: {split: {}}}",
        "{name: a, probe: {}, expect: {split: {distribution: weighted, weights: {a: x}}}}",
        "{name: a, patch: {kind: K, name: n}}",
        "{certificate: {secret: s}}",
        "{certificate: {secret: s, commonName: a, rsaBits: 1}}",
    ],
)
def test_both_refuse_a_lab_with_the_step(step: str, folder: Path) -> None:
    text = f"apiVersion: labctl/v1\nkind: Lab\ntitle: T\nsteps: [{{name: z, probe: {{}}}}, {step}]\n"
    assert not accepted_by_decoder("Lab", text, folder)
    assert not accepted_by_schema("Lab", text)
