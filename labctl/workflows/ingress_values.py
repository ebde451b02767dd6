"""`labctl ingress values`: the values that an installation would use, and where each comes from."""

from __future__ import annotations

from typing import Any

from labctl.env import Env
from labctl.errors import UsageError
from labctl.events import EventSink
from labctl.ingress.chart import VERSIONS, defaults
from labctl.ingress.controllers import CONTROLLERS, Controller, ControllerName
from labctl.ingress.helm import Helm
from labctl.ingress.install import effective_values
from labctl.ingress.installed import Via
from labctl.ingress.values import Values, coalesce, leaves
from labctl.model.inventory import Inventory
from labctl.workflows.ingress import IngressOptions
from labctl.workflows.ingress_ways import chart_of, provide_helm

CHART_ORIGIN = "chart"


def ingress_values(
    inventory: Inventory, options: IngressOptions, *, every: bool, env: Env, sink: EventSink
) -> tuple[Values, list[tuple[str, Any, str]]]:
    """The values, and a row for each: its path, the value, its origin.

    Args:
        inventory: The cluster's description.
        options: As for an installation.
        every: The chart's own values too.
        env: The surroundings.
        sink: Told when Helm must be fetched.

    Raises:
        UsageError, ConfigError: Values that do not fit.
        ClusterError: The chart's own values cannot be had.
    """
    controller = CONTROLLERS[options.controller]
    effective = effective_values(inventory, options.flags, controller.study(inventory) if controller.study else None)
    version = options.version or controller.version(inventory)
    known = controller.name is ControllerName.NGINX and version in VERSIONS and options.chart is None
    if known:
        effective.check(helm=options.via is not Via.MANIFESTS)
    if not every:
        rows = [(".".join(path), value, effective.origins[path]) for path, value in leaves(effective.values)]
        return effective.values, rows
    own = defaults(VERSIONS[version]) if known else _own_values(controller, inventory, options, env, sink)
    values = coalesce(effective.values, own)
    return values, [
        (".".join(path), value, effective.origins.get(path, CHART_ORIGIN)) for path, value in leaves(values)
    ]


def _own_values(
    controller: Controller, inventory: Inventory, options: IngressOptions, env: Env, sink: EventSink
) -> Values:
    if options.via is Via.MANIFESTS:
        raise UsageError("labctl knows this chart's own values only through Helm", hint="--via helm")
    helm = Helm(provide_helm(env, sink), env.environ)
    return helm.chart_values(chart_of(controller, inventory, options), timeout=options.timeout)
