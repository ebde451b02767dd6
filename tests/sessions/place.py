"""Where a session is replayed: an embedded cluster of its own, and the addresses of the real one mapped to it."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from labctl.embedded.settings import EmbeddedSettings, StateDirectory
from labctl.ingress.install import controller_objects
from labctl.model.inventory import Ingress, Inventory, Network, Node, Provider, Role
from tests.tools import tool

NODES = {"k3s-s": ("S", 10), "k3s-w1": ("W1", 101), "k3s-w2": ("W2", 102), "k3s-w3": ("W3", 103)}

_CHART = {"apiVersion": "v2", "name": "ingress-nginx", "version": "4.11.2", "appVersion": "1.11.2"}


class Place:
    """An embedded cluster on addresses of its own.

    Args:
        home: Its directory.
        number: The second octet of its pods' addresses; no two places have the same.
    """

    def __init__(self, home: Path, number: int) -> None:
        self.home = home
        self.number = number
        self._process: subprocess.Popen[bytes] | None = None

    def up(self, *, pace: float, ingress: bool) -> None:
        """Start the cluster.

        Args:
            pace: Seconds that its nodes take to start and to end a pod.
            ingress: Install ingress-nginx, as the recorded cluster had it.

        Raises:
            RuntimeError: It did not start.
        """
        inventory = self._inventory()
        settings = replace(EmbeddedSettings.from_inventory(inventory), pace=pace)
        self._state.path.mkdir(parents=True, exist_ok=True)
        self._state.settings.write_text(settings.to_json())
        self.start()
        if ingress:
            self._install(inventory)

    @property
    def pid(self) -> int:
        """The cluster's process."""
        assert self._process is not None
        return self._process.pid

    def end(self) -> None:
        """End the process, unless it has ended; its objects stay."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=60.0)

    def start(self) -> None:
        """Start the process on the objects that there are.

        Raises:
            RuntimeError: It did not start.
        """
        ready, say = os.pipe()
        command = [sys.executable, "-m", "labctl.embedded", str(self._state.path), str(say)]
        with self._state.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, pass_fds=(say,))
        os.close(say)
        with os.fdopen(ready) as answer:
            said = json.loads(answer.readline() or '{"error": "it ended"}')
        if said:
            self.down()
            raise RuntimeError(f"the embedded cluster did not start: {said}")

    def down(self) -> None:
        """Stop the cluster and delete it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60.0)
            shutil.rmtree(self._state.path)

    @property
    def _state(self) -> StateDirectory:
        return StateDirectory(self.home / "state")

    def _inventory(self) -> Inventory:
        nodes = tuple(
            Node(name, Role.SERVER if name == "k3s-s" else Role.AGENT, self._node(last))
            for name, (_, last) in NODES.items()
        )
        network = Network(cluster_cidr=f"127.{self.number}.0.0/16", service_cidr=f"127.{self.number + 1}.200.0/24")
        values = {"controller": {"admissionWebhooks": {"enabled": False}, "image": {"digest": ""}}}
        return Inventory("default", Provider.EMBEDDED, nodes, network, Ingress(values=values))

    def _install(self, inventory: Inventory) -> None:
        """As a release of helm, with labctl's own rendering for a chart."""
        chart = self.home / "ingress-nginx"
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text(json.dumps(_CHART))
        objects = [item for item in controller_objects(inventory) if item["kind"] != "Namespace"]
        text = "\n---\n".join(json.dumps(item) for item in objects)
        (chart / "templates" / "all.yaml").write_text(text)
        helm = [str(_tools() / "helm"), "--kubeconfig", str(self._state.kubeconfig)]
        release, namespace = inventory.ingress.release, inventory.ingress.namespace
        install = [*helm, "install", release, str(chart), "-n", namespace, "--create-namespace", "--wait"]
        subprocess.run(install, check=True, capture_output=True, timeout=120)

    def _node(self, last: int) -> str:
        return f"127.0.{self.number}.{last}"

    def environment(self, namespace: str, folder: Path) -> dict[str, str]:
        """The environment of a session's commands; writes its kubeconfig and the admin's certificate files."""
        config = json.loads(self._state.kubeconfig.read_text())
        config["contexts"][0]["context"] |= {"namespace": namespace} if namespace != "default" else {}
        files = {"CA": config["clusters"][0]["cluster"]["certificate-authority-data"]}
        user = config["users"][0]["user"]
        files |= {"CRT": user["client-certificate-data"], "KEY": user["client-key-data"]}
        places = {name: self.home / f"{name.lower()}.pem" for name in files}
        for name, content in files.items():
            places[name].write_bytes(base64.b64decode(content))
        kubeconfig = self.home / "kubeconfig"
        kubeconfig.write_text(json.dumps(config))
        kubeconfig.chmod(0o600)
        return {
            "PATH": f"{_tools()}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "HOME": str(self.home),
            "PWD": str(folder),
            "KUBECONFIG": str(kubeconfig),
            "TZ": "UTC",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "NS": namespace,
            "SRV": f"https://{self._node(10)}:6443",
            **{variable: self._node(last) for variable, last in NODES.values()},
            **{name: str(path) for name, path in places.items()},
        }

    def as_recorded(self, text: str) -> str:
        """A text with the addresses of this cluster written as the real one's."""
        n = self.number
        text = re.sub(rf"\b127\.0\.{n}\.(\d+)\b", r"192.168.10.\1", text)
        text = re.sub(rf"\b127\.{n}\.(\d+)\.(\d+)\b", r"172.16.\1.\2", text)
        return re.sub(rf"\b127\.{n + 1}\.200\.(\d+)\b", r"10.10.200.\1", text)


def _tools() -> Path:
    """The directory that holds kubectl 1.30 and helm 3.17."""
    found = [tool("kubectl"), tool("helm")]
    if found[0] is None or found[1] is None:
        raise RuntimeError("the package that carries kubectl and helm is not installed")
    return found[0].parent
