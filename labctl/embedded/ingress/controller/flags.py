"""Command line of the controller, as `nginx-ingress-controller` 1.11.2 has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_type_hints

from labctl.embedded.ingress.annotations.catalogue import PREFIX
from labctl.embedded.ingress.goscalars import parse_bool, parse_int

_IGNORED = frozenset(
    """
    alsologtostderr apiserver-host certificate-authority disable-full-test dynamic-configuration-retries
    disable-svc-external-name election-ttl enable-ssl-chain-completion enable-topology-aware-routing
    exclude-socket-metrics health-check-timeout healthz-host internal-logger-address kubeconfig length-buckets
    log_backtrace_at log_dir log_file log_file_max_size logtostderr maxmind-edition-ids maxmind-license-key
    maxmind-mirror maxmind-retries-count maxmind-retries-timeout metrics-per-host monitor-max-batch-size one_output
    post-shutdown-grace-period profiler-address profiler-port profiling report-status-classes
    shutdown-grace-period size-buckets skip_headers skip_log_headers ssl-passthrough-proxy-port stderrthreshold
    stream-port sync-period tcp-services-configmap time-buckets udp-services-configmap
    vmodule default-server-port
    """.split()  # noqa: SIM905 - one word per flag reads best
)


class FlagError(Exception):
    """A flag that cannot be read; the controller then prints this and exits."""


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags that matter here; a field is the flag with underscores, its default the controller's own."""

    annotations_prefix: str = PREFIX
    configmap: str = ""
    controller_class: str = "k8s.io/ingress-nginx"
    deep_inspect: bool = True
    default_backend_service: str = ""
    default_ssl_certificate: str = ""
    disable_catch_all: bool = False
    disable_leader_election: bool = False
    disable_sync_events: bool = False
    election_id: str = "ingress-controller-leader"
    enable_annotation_validation: bool = False
    enable_metrics: bool = True
    enable_ssl_passthrough: bool = False
    health_check_path: str = "/healthz"
    healthz_port: int = 10254
    http_port: int = 80
    https_port: int = 443
    ingress_class: str = "nginx"
    ingress_class_by_name: bool = False
    publish_service: str = ""
    publish_status_address: str = ""
    report_node_internal_ip_address: bool = False
    status_port: int = 10246
    status_update_interval: int = 60
    sync_rate_limit: str = "0.3"
    update_status: bool = True
    update_status_on_shutdown: bool = True
    v: int = 0
    validating_webhook: str = ""
    validating_webhook_certificate: str = ""
    validating_webhook_key: str = ""
    version: bool = False
    watch_ingress_without_class: bool = False
    watch_namespace: str = ""
    watch_namespace_selector: str = ""
    without_effect: tuple[str, ...] = field(default=())


_TYPES = get_type_hints(Flags)
_NAMES = {entry.name.replace("_", "-"): entry.name for entry in fields(Flags) if entry.name != "without_effect"}


def parse_flags(args: Sequence[str]) -> Flags:
    """Read the arguments of the container.

    Args:
        args: Without the program's name, which is skipped when it is there.

    Raises:
        FlagError: As the real controller would, with its words.
    """
    values: dict[str, Any] = {}
    ignored: list[str] = []
    words = [word for word in args if word != "/nginx-ingress-controller"]
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if not word.startswith("-") or word == "-":
            continue
        name, equals, text = word.lstrip("-").partition("=")
        if name in _NAMES:
            kind = _TYPES[_NAMES[name]]
            if not equals and kind is not bool:
                if position >= len(words):
                    raise FlagError(f"flag needs an argument: --{name}")
                text = words[position]
                position += 1
            values[_NAMES[name]] = _value(name, kind, text, given=bool(equals) or kind is not bool)
        elif name in _IGNORED:
            ignored.append(name)
        else:
            raise FlagError(f"unknown flag: --{name}")
    flags = replace(Flags(**values), without_effect=tuple(ignored))
    if flags.publish_service and flags.publish_status_address:
        raise FlagError("flags --publish-service and --publish-status-address are mutually exclusive")
    if flags.watch_namespace and flags.watch_namespace_selector:
        raise FlagError("flags --watch-namespace and --watch-namespace-selector are mutually exclusive")
    return flags


def _value(name: str, kind: Any, text: str, *, given: bool) -> Any:
    if kind is bool:
        parsed: Any = parse_bool(text) if given else True
    elif kind is int:
        parsed = parse_int(text)
    else:
        parsed = text
    if parsed is None:
        raise FlagError(f'invalid argument "{text}" for "--{name}" flag: parsing "{text}": invalid syntax')
    return parsed
