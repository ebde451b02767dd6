"""Images that run whatever command they are given, and images that only have to be there."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from labctl.embedded.cni import PodPort
from labctl.embedded.images.catalogue import Content, Entry
from labctl.embedded.images.container import CommandImage, Server
from labctl.embedded.images.filesystem import Executable, Node, layer
from labctl.embedded.images.process import Process
from labctl.embedded.images.programs.layers import DEBIAN, TOOLS, alpine_layer, busybox_layer, debian_layer
from labctl.embedded.images.programs.system import run_program


def _nothing(process: Process) -> Mapping[int, PodPort]:
    return {}


PAUSE = Server(_nothing, ((signal.SIGTERM, 0), (signal.SIGINT, 0)))
"""A process that serves nothing and ends when it is told to."""


def _command_entry(repositories: tuple[str, ...], image: CommandImage, rootfs: Mapping[str, Node], size: int) -> Entry:
    content = Content(image, rootfs)
    return Entry(repositories, lambda tag: content, size_bytes=size)


def command_images() -> list[Entry]:
    """Shell images: busybox, alpine, debian, netshoot, curl."""
    return [
        _command_entry(
            (
                "docker.io/library/busybox",
                "docker.io/rancher/mirrored-library-busybox",
                "registry.k8s.io/e2e-test-images/busybox",
            ),
            CommandImage(cmd=("sh",)),
            busybox_layer(),
            2_130_731,
        ),
        _command_entry(("docker.io/library/alpine",), CommandImage(cmd=("/bin/sh",)), alpine_layer({}), 3_600_000),
        _command_entry(
            ("docker.io/library/debian", "docker.io/library/ubuntu"),
            CommandImage(cmd=("bash",)),
            debian_layer(programs={name: program for name, program in DEBIAN.items() if name != "curl"}),
            49_000_000,
        ),
        _command_entry(
            ("docker.io/nicolaka/netshoot", "docker.io/praqma/network-multitool", "docker.io/wbitt/network-multitool"),
            CommandImage(cmd=("zsh",)),
            alpine_layer(TOOLS),
            200_000_000,
        ),
        _command_entry(
            (
                "registry.k8s.io/e2e-test-images/jessie-dnsutils",
                "registry.k8s.io/e2e-test-images/dnsutils",
                "gcr.io/kubernetes-e2e-test-images/dnsutils",
                "docker.io/tutum/dnsutils",
            ),
            CommandImage(cmd=("sleep", "infinity")),
            debian_layer(programs=TOOLS),
            100_000_000,
        ),
        _command_entry(
            ("docker.io/curlimages/curl",),
            CommandImage(entrypoint=("/entrypoint.sh",)),
            alpine_layer(TOOLS, {"/entrypoint.sh": Executable(_curl_entrypoint)}),
            9_000_000,
        ),
    ]


async def _curl_entrypoint(process: Process) -> int:
    """`curl` in front of arguments that are no program, as the image's own entrypoint does it."""
    arguments = list(process.argv[1:])
    if not arguments or arguments[0].startswith("-") or not _is_program(process, arguments[0]):
        arguments = ["curl", *arguments]
    return await run_program(process, arguments)


def _is_program(process: Process, name: str) -> bool:
    return any(process.files.exists(f"{folder}/{name}") for folder in ("/bin", "/usr/bin", "/usr/local/bin"))


def cluster_images() -> list[Entry]:
    """What k3s itself runs; inert here, because the embedded cluster has these parts built in."""
    names = {
        "docker.io/rancher/mirrored-coredns-coredns": "/coredns",
        "docker.io/rancher/local-path-provisioner": "/usr/bin/local-path-provisioner",
        "docker.io/rancher/mirrored-metrics-server": "/metrics-server",
        "docker.io/rancher/klipper-lb": "/usr/bin/entry",
    }
    entries = [_inert((name,), program) for name, program in names.items()]
    pause = ("registry.k8s.io/pause", "k8s.gcr.io/pause", "docker.io/rancher/mirrored-pause")
    return [*entries, _inert(pause, "/pause")]


def _inert(repositories: tuple[str, ...], program: str) -> Entry:
    name = program.rpartition("/")[2]
    rootfs = layer({program: Executable(PAUSE), f"/usr/local/bin/{name}": Executable(PAUSE)})
    content = Content(CommandImage(entrypoint=(program,)), rootfs)
    return Entry(repositories, lambda tag: content, size_bytes=686_888, listed=False)
