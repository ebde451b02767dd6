"""`labctl lab new`: the files of a lab that works, to be changed."""

from __future__ import annotations

import re

from labctl.config.inventory import NAME_MEANING, NAME_PATTERN
from labctl.errors import UsageError

_LAB = """\
# yaml-language-server: $schema={schema}
apiVersion: labctl/v1
kind: Lab
title: "{name}: what it shows, in a line"
teaches: >
  What somebody knows after it, in two or three sentences.
namespace: {name}

steps:
  - name: apply
    title: Two pods, their Service, and an Ingress
    apply: {name}.yaml

  # Checks before the first change are what `labctl verify {name}` makes.
  - name: in-turn
    title: "the pods answer in turn"
    probe: {{host: {name}.example.com}}
    expect: {{split: {{distribution: round-robin, podsOf: {name}}}}}

  # A change, undone at the end, and what must be seen then.
  - name: three
    title: a third pod
    patch: {{kind: Deployment, name: {name}, merge: {{spec: {{replicas: 3}}}}}}
  - name: in-turn-of-three
    title: "it has its turn"
    probe: {{host: {name}.example.com}}
    expect: {{split: {{distribution: round-robin, podsOf: {name}}}}}
"""
_MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  replicas: 2
  selector:
    matchLabels:
      app: {name}
  template:
    metadata:
      labels:
        app: {name}
    spec:
      containers:
      - name: {name}
        image: registry.k8s.io/echoserver:1.5
        ports:
        - containerPort: 8080
---
apiVersion: v1
kind: Service
metadata:
  name: {name}
spec:
  ports:
  - port: 80
    targetPort: 8080
  selector:
    app: {name}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
spec:
  ingressClassName: nginx
  rules:
  - host: {name}.example.com
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: {name}
            port:
              number: 80
"""
_GUIDE = """\
# {name}: what it shows

`labctl run {name}` does all of this and cleans up; `labctl run --keep {name}` leaves it for your own hands, and
`labctl verify {name}` checks what is there without changing it.

## By hand

```console
$ kubectl create namespace {name}; kubectl -n {name} apply -f {name}.yaml
$ curl --resolve {name}.example.com:30080:127.0.10.10 http://{name}.example.com:30080/
```

## What happened in the network

client → node:30080 → controller pod → pod:8080

## Break it

```console
$ kubectl -n {name} scale deploy {name} --replicas=0
$ labctl verify {name}        # exit code 3: 503
```
"""


def skeleton(name: str, schema: str) -> dict[str, str]:
    """The files of a new lab: their names and texts.

    Args:
        name: The lab's name.
        schema: Where lab.yaml's JSON Schema is, for editors.

    Raises:
        UsageError: It cannot be a lab's name.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(f"{name!r} cannot be a lab's name: it must be {NAME_MEANING}")
    texts = {"lab.yaml": _LAB, f"{name}.yaml": _MANIFEST, "guide.md": _GUIDE}
    return {file: text.format(name=name, schema=schema) for file, text in texts.items()}
