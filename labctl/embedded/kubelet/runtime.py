"""Starting one container: pull its image, build its environment and files, run it."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping
from dataclasses import dataclass

from labctl.embedded.clientset import Clientset, Obj
from labctl.embedded.cni import PodNetwork
from labctl.embedded.cri import ContainerContext, NetworkClient, StartError
from labctl.embedded.images.catalogue import (
    Catalogue,
    ImageNotFoundError,
    InvalidReferenceError,
    Pulled,
    invalid_name_message,
)
from labctl.embedded.images.filesystem import File, FileSystem, Volume
from labctl.embedded.images.process import DEFAULT_PATH
from labctl.embedded.images.streams import Pipe
from labctl.embedded.kubelet import volumes as pod_volumes
from labctl.embedded.kubelet.environment import ConfigError, environment, expand, service_variables
from labctl.embedded.kubelet.events import Recorder
from labctl.embedded.kubelet.logs import ContainerLog
from labctl.embedded.kubelet.nodes import NodeSpec
from labctl.embedded.kubelet.record import ContainerRecord, new_container_id
from labctl.embedded.kubelet.settings import Settings

ALREADY_PRESENT = 'Container image "{image}" already present on machine'


@dataclass(frozen=True, slots=True)
class Host:
    """What all pods of a kubelet share.

    Attributes:
        clientset: The API.
        network: The pod network.
        catalogue: The images there are.
        recorder: Writes events.
        settings: Timing.
        volumes: Where volumes get their content.
        client: How pods' processes reach others.
    """

    clientset: Clientset
    network: PodNetwork
    catalogue: Catalogue
    recorder: Recorder
    settings: Settings
    volumes: pod_volumes.VolumeSources
    client: NetworkClient | None = None


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What the containers of a pod share.

    Attributes:
        pod: The pod, with its addresses in the status.
        node: Its node.
        ip: Its address.
        hostname: Its hostname.
        volumes: Its volumes by name.
    """

    pod: Obj
    node: NodeSpec
    ip: str
    hostname: str
    volumes: Mapping[str, Volume]


class NotStartedError(Exception):
    """A container could not be started; the kubelet tries again later.

    Attributes:
        reason: Reason of the waiting state.
        message: Message of the waiting state.
        crashed: Whether a container was created and counts as a restart (RunContainerError).
    """

    def __init__(self, reason: str, message: str, *, crashed: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.crashed = crashed


class ContainerStarter:
    """Starts the containers of one pod.

    Attributes:
        sandbox: What they share.
    """

    def __init__(self, host: Host, sandbox: Sandbox) -> None:
        self._host = host
        self.sandbox = sandbox

    def start(self, record: ContainerRecord) -> None:
        """Start a container and set its record to running.

        Raises:
            NotStartedError: It could not be started; its events are written.
        """
        pulled = self._pull(record)
        log = ContainerLog()
        try:
            context = self._context(record, pulled, log)
        except ConfigError as error:
            self.event(record, "Warning", "Failed", f"Error: {error}")
            raise NotStartedError("CreateContainerConfigError", str(error)) from error
        self._created(record, pulled, context, log)
        self.event(record, "Normal", "Created", f"Created container: {record.name}")
        try:
            record.running = pulled.content.image.start(context)
        except StartError as error:
            self.event(record, "Warning", "Failed", f"Error: {error}")
            raise NotStartedError("RunContainerError", str(error), crashed=True) from error
        uid = self.sandbox.pod["metadata"]["uid"]
        for port, server in record.running.ports.items():
            self._host.network.listen(uid, port, server)
        record.state = {"running": {"startedAt": self._host.settings.timestamp()}}
        record.run_started = asyncio.get_running_loop().time()
        self.event(record, "Normal", "Started", f"Started container {record.name}")

    def event(self, record: ContainerRecord, kind: str, reason: str, message: str) -> None:
        """Record an event about a container."""
        sandbox = self.sandbox
        self._host.recorder.event(sandbox.pod, sandbox.node.name, kind, reason, message, record.field_path)

    def _pull(self, record: ContainerRecord) -> Pulled:
        image = record.spec.get("image", "")
        policy = record.spec.get("imagePullPolicy", "IfNotPresent")
        try:
            pulled = self._host.catalogue.pull(image)
        except InvalidReferenceError as error:
            message = invalid_name_message(image)
            self.event(record, "Warning", "InspectFailed", message)
            self.event(record, "Warning", "Failed", "Error: InvalidImageName")
            raise NotStartedError("InvalidImageName", message) from error
        except ImageNotFoundError as error:
            self._not_found(record, image, policy, error)
        if policy != "Always":
            self.event(record, "Normal", "Pulled", ALREADY_PRESENT.format(image=image))
            return pulled
        self.event(record, "Normal", "Pulling", f'Pulling image "{image}"')
        size = f"Image size: {pulled.size_bytes} bytes."
        # Nothing is downloaded: the time is what it takes to look the image up.
        self.event(
            record, "Normal", "Pulled", f'Successfully pulled image "{image}" in 1ms (1ms including waiting). {size}'
        )
        return pulled

    def _not_found(self, record: ContainerRecord, image: str, policy: str, error: ImageNotFoundError) -> None:
        if policy == "Never":
            message = f'Container image "{image}" is not present with pull policy of Never'
            self.event(record, "Warning", "ErrImageNeverPull", message)
            self.event(record, "Warning", "Failed", "Error: ErrImageNeverPull")
            raise NotStartedError("ErrImageNeverPull", message) from error
        now, pulls, settings = asyncio.get_running_loop().time(), record.pulls, self._host.settings
        if pulls.left(pulls.updated, now, settings) > 0:
            self.event(record, "Normal", "BackOff", f'Back-off pulling image "{image}"')
            self.event(record, "Warning", "Failed", "Error: ImagePullBackOff")
            message = f'Back-off pulling image "{image}": ErrImagePull: {error.message}'
            raise NotStartedError("ImagePullBackOff", message) from error
        self.event(record, "Normal", "Pulling", f'Pulling image "{image}"')
        text = f'Failed to pull image "{image}": {error.message} ({error.hint})'
        self.event(record, "Warning", "Failed", text)
        self.event(record, "Warning", "Failed", "Error: ErrImagePull")
        pulls.next(pulls.updated, now, settings)
        raise NotStartedError("ErrImagePull", error.message) from error

    def _created(self, record: ContainerRecord, pulled: Pulled, context: ContainerContext, log: ContainerLog) -> None:
        if record.container_id:
            record.restarts += 1
            record.last_state = record.state if record.terminated else record.last_state
        record.context = context
        record.image, record.image_id = pulled.name, pulled.image_id
        record.container_id = new_container_id()
        record.logs[record.container_id] = log

    def _context(self, record: ContainerRecord, pulled: Pulled, log: ContainerLog) -> ContainerContext:
        sandbox = self.sandbox
        meta, spec = sandbox.pod["metadata"], sandbox.pod["spec"]
        record.stdin, record.system = Pipe() if record.spec.get("stdin") else None, None
        env = self._environment(record, pulled)
        return ContainerContext(
            namespace=meta["namespace"],
            pod=meta["name"],
            uid=meta["uid"],
            pod_ip=sandbox.ip,
            node=sandbox.node.name,
            name=record.name,
            image=record.spec.get("image", ""),
            command=tuple(expand(part, env) for part in record.spec.get("command") or ()),
            args=tuple(expand(part, env) for part in record.spec.get("args") or ()),
            env=env,
            ports=tuple(port["containerPort"] for port in record.spec.get("ports") or ()),
            labels=dict(meta.get("labels") or {}),
            service_account=spec.get("serviceAccountName", "default"),
            log=log.append,
            clientset=self._host.clientset,
            network=self._host.network,
            hostname=sandbox.hostname,
            files=self._files(record, pulled),
            client=self._host.client,
            stdin=record.stdin,
            tty=bool(record.spec.get("tty")),
            working_dir=record.spec.get("workingDir", ""),
        )

    def _environment(self, record: ContainerRecord, pulled: Pulled) -> dict[str, str]:
        sandbox, clientset = self.sandbox, self._host.clientset
        links = sandbox.pod["spec"].get("enableServiceLinks", True)
        namespace = sandbox.pod["metadata"]["namespace"]
        services = service_variables(
            clientset.list("services", namespace) if links else [],
            clientset.get("services", "default", "kubernetes"),
            links=links,
        )
        first = {"PATH": DEFAULT_PATH, "HOSTNAME": sandbox.hostname, **pulled.content.environment}
        given = environment(record.spec, sandbox.pod, clientset, services)
        return {**first, **given, "HOME": given.get("HOME", "/root")}

    def _files(self, record: ContainerRecord, pulled: Pulled) -> FileSystem:
        sandbox = self.sandbox
        files = FileSystem(Volume(base=pulled.content.rootfs))
        pod_volumes.mount(files, record.spec, sandbox.volumes)
        for path, text in pod_files(sandbox, self._host.settings).items():
            try:
                files.install(path, File(text.encode()))
            except OSError as error:
                # A volume is mounted over /etc: as in a real pod, the kubelet's own file is hidden by it.
                if error.errno != errno.EROFS:
                    raise
        return files


def pod_files(sandbox: Sandbox, settings: Settings) -> dict[str, str]:
    """The files that the kubelet and the runtime put into every container."""
    spec, namespace = sandbox.pod["spec"], sandbox.pod["metadata"]["namespace"]
    hosts = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
        f"{sandbox.ip}\t{_full_name(sandbox, settings)}{sandbox.hostname}",
    ]
    if spec.get("hostAliases"):
        hosts += ["", "# Entries added by HostAliases."]
        hosts += ["\t".join([alias["ip"], *alias["hostnames"]]) for alias in spec["hostAliases"]]
    return {
        "/etc/hostname": sandbox.hostname + "\n",
        "/etc/hosts": "\n".join(hosts) + "\n",
        "/etc/resolv.conf": resolv_conf(spec, namespace, settings),
    }


def _full_name(sandbox: Sandbox, settings: Settings) -> str:
    subdomain = sandbox.pod["spec"].get("subdomain")
    if not subdomain:
        return ""
    namespace = sandbox.pod["metadata"]["namespace"]
    return f"{sandbox.hostname}.{subdomain}.{namespace}.svc.{settings.cluster_domain}\t"


def resolv_conf(spec: Obj, namespace: str, settings: Settings) -> str:
    """/etc/resolv.conf for a pod's dnsPolicy and dnsConfig."""
    policy = spec.get("dnsPolicy", "ClusterFirst")
    own = spec.get("dnsConfig") or {}
    servers, search, options = list(own.get("nameservers") or []), list(own.get("searches") or []), []
    if policy == "ClusterFirst" or policy == "ClusterFirstWithHostNet":
        domain = settings.cluster_domain
        servers.insert(0, settings.cluster_dns)
        search = [f"{namespace}.svc.{domain}", f"svc.{domain}", domain, *search]
        options = ["ndots:5"]
    given = [
        f"{item['name']}:{item['value']}" if item.get("value") else item["name"] for item in own.get("options") or []
    ]
    names = {item.partition(":")[0] for item in given}
    options = [item for item in options if item.partition(":")[0] not in names] + given
    lines = [f"search {' '.join(search)}"] if search else []
    lines += [f"nameserver {server}" for server in servers]
    lines += [f"options {' '.join(options)}"] if options else []
    return "\n".join(lines) + "\n"
