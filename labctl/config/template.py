"""The cluster.yaml that `labctl init` writes: valid as it is, with comments that make a manual unnecessary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labctl.model.inventory import DEFAULT_EMBEDDED_NODES, Node, Provider, Role, SshOptions

STUDY_NODES = (
    Node("k3s-s", Role.SERVER, "192.168.10.10"),
    Node("k3s-w1", Role.AGENT, "192.168.10.101"),
    Node("k3s-w2", Role.AGENT, "192.168.10.102"),
    Node("k3s-w3", Role.AGENT, "192.168.10.103"),
)
"""The study's four virtual machines."""

_HEAD = """\
apiVersion: labctl/v1
kind: Cluster
name: {name:<16} # names the state folder and the kubeconfig context
"""

_EMBEDDED = """\
provider: embedded     # a Kubernetes in one process on loopback addresses: no root, no downloads
                       # (others: `ssh` installs k3s on your machines, `kubeconfig` uses a cluster that exists)

# One server and three agents, as in the study. Addresses must be loopback ones (127.x.x.x).
nodes:
{nodes}

network:
  clusterCidr: 127.16.0.0/16      # pods; each node takes a /24 of it
  serviceCidr: 127.10.200.0/24    # ClusterIPs
  apiPort: 6443                   # https://<server>:6443
  proxyMode: iptables             # how Services choose a pod: iptables (at random) or ipvs (round robin)
  nodePorts: 30000-32767
"""

_SSH = """\
provider: ssh          # k3s is installed on these machines over SSH

nodes:
{nodes}

# How they are reached. What is left out comes from ~/.ssh/config; a node may have an `ssh:` of its own.
# Passwords are never written here: name an environment variable or a file.
ssh:
  user: {user}
  # port: 22
  # identityFile: ~/.ssh/id_ed25519
  # proxyJump: jump.example.com
  # password: {{env: LAB_SSH_PASSWORD}}
  # sudoPassword: {{env: LAB_SUDO_PASSWORD}}

network:
  clusterCidr: 172.16.0.0/16      # pods; each node takes a /24 of it
  serviceCidr: 10.10.200.0/24     # ClusterIPs
  apiPort: 6443
  proxyMode: iptables             # or ipvs

k3s:
  channel: v1.30                  # or an exact release: `version: v1.30.14+k3s1`
  disable: [traefik]
  # artifacts: ./release          # files of a release, instead of a download
  # server: {{write-kubeconfig-mode: "644"}}     # further keys of k3s's config.yaml: for servers,
  # agent: {{kubelet-arg: [max-pods=50]}}        # and for every node
"""

_KUBECONFIG = """\
provider: kubeconfig   # a cluster that exists already: kind, k3d, EKS, … labctl never removes it

kubeconfig:
  path: ~/.kube/config
  # context: kind-lab  # without it, the current context
"""

_INGRESS = """
ingress:
  install: {install:<14}# {why}
  namespace: ingress
  release: ingress-nginx
  chartVersion: 4.11.2          # ingress-nginx controller 1.11.2, the study's
  ingressClass: nginx           # the class that the labs' Ingresses ask for
  # Helm values, laid over the study's (NodePort 30080/30443, externalTrafficPolicy Local, controller on k3s-s):
  # values:
  #   controller:
  #     replicaCount: 2
  #     extraArgs: {{v: "3"}}     # the log level that shows how endpoints are found
"""


def cluster_yaml(
    provider: Provider,
    name: str = "study",
    *,
    nodes: Sequence[Node] = (),
    user: str = "ubuntu",
    schema: str = "",
    node_ssh: Mapping[str, SshOptions] | None = None,
) -> str:
    """A commented, valid cluster.yaml.

    Args:
        provider: Which kind of cluster.
        name: The cluster's name.
        nodes: Its machines; empty takes the study's. Not used for `kubeconfig`.
        user: Login name (`ssh` only).
        node_ssh: How single nodes are reached, by name (`ssh` only).
        schema: Path or URL of the JSON Schema, written as a hint for editors; empty leaves it out.
    """
    head = _HEAD.format(name=name)
    if schema:
        head = f"# yaml-language-server: $schema={schema}\n{head}"
    existing = provider is Provider.KUBECONFIG
    bodies = {Provider.EMBEDDED: _EMBEDDED, Provider.SSH: _SSH, Provider.KUBECONFIG: _KUBECONFIG}
    study = DEFAULT_EMBEDDED_NODES if provider is Provider.EMBEDDED else STUDY_NODES
    body = bodies[provider].format(nodes=_nodes(nodes or study, node_ssh or {}), user=user)
    why = "true lets `labctl up` install the controller" if existing else "`labctl up` installs the controller"
    return head + body + _INGRESS.format(install="false" if existing else "true", why=why)


def _nodes(nodes: Sequence[Node], node_ssh: Mapping[str, SshOptions]) -> str:
    width = max(len(node.name) for node in nodes)
    return "\n".join(
        f"  - {{name: {node.name + ',':<{width + 1}} role: {node.role + ',':<7} address: {node.address}"
        f"{_ssh(node_ssh.get(node.name))}}}"
        for node in nodes
    )


def _ssh(options: SshOptions | None) -> str:
    if options is None:
        return ""
    keys = {"host": options.host, "user": options.user, "port": options.port, "identityFile": options.identity_file}
    pairs = ", ".join(f"{key}: {value}" for key, value in keys.items() if value is not None)
    return f", ssh: {{{pairs}}}" if pairs else ""
