"""The images that the embedded cluster has."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.images import bootcamp, echoserver, nginximage
from labctl.embedded.images.apps import app_images
from labctl.embedded.images.catalogue import Catalogue, Entry
from labctl.embedded.images.certgen import certgen_entry
from labctl.embedded.images.container import HttpPort
from labctl.embedded.images.redis import redis_images
from labctl.embedded.images.tools import cluster_images, command_images


def standard_catalogue(http_port: HttpPort, extra: Iterable[Entry] = ()) -> Catalogue:
    """Everything the study uses, and what else was added.

    Args:
        http_port: Makes a pod's port from an HTTP application.
        extra: Further images, for example the ingress controller.
    """
    web = [*web_images(http_port), *app_images(http_port)]
    return Catalogue([*web, *redis_images(), *command_images(), *cluster_images(), certgen_entry(), *extra])


def web_images(http_port: HttpPort) -> list[Entry]:
    """The web servers of the study."""
    return [
        Entry(
            ("docker.io/library/nginx", "public.ecr.aws/nginx/nginx"),
            lambda tag: nginximage.content(tag, http_port),
            size_bytes=93_604_695,
        ),
        Entry(
            ("docker.io/nginxinc/nginx-unprivileged",),
            lambda tag: nginximage.content(tag, http_port, 8080),
            size_bytes=93_604_695,
        ),
        Entry(
            (
                "registry.k8s.io/echoserver",
                "k8s.gcr.io/echoserver",
                "gcr.io/google_containers/echoserver",
                "gcr.io/google-containers/echoserver",
            ),
            lambda tag: echoserver.content(tag, http_port),
            tags=tuple(echoserver.NGINX_VERSIONS),
            size_bytes=5_786_448,
        ),
        Entry(
            ("gcr.io/google-samples/kubernetes-bootcamp", "docker.io/jocatalin/kubernetes-bootcamp"),
            lambda tag: bootcamp.content(tag, http_port),
            tags=bootcamp.TAGS,
            size_bytes=5_786_444,
        ),
    ]
