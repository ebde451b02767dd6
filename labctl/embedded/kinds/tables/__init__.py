"""`meta.k8s.io/v1` Tables: the columns of each kind and the cells of an object, as `kubectl get` prints them.

Source: pkg/printers/internalversion/printers.go; the server always sends the wide columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from functools import cache
from importlib import resources as package_data
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import human, wire
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.kinds.tables import cluster, network, pods, workloads

Cells = list[Any]


def columns(resource: Resource) -> list[Obj]:
    """The Table's columnDefinitions; a custom resource's default ones are its name and age."""
    defined = _columns()
    if resource.key in defined:
        return defined[resource.key]
    if resource.plural == "events":
        return defined["events"]
    return defined["" if wire.struct_of(resource) is not None else "custom"]


def cells(resource: Resource, obj: Obj, now: datetime) -> Cells:
    """One row's cells, one for each of the columns.

    `now` is what ages are counted to. Objects are as stored; events of both groups are accepted.
    """
    render = _CELLS.get(resource.kind) if wire.struct_of(resource) is not None else None
    if render is not None:
        return render(obj, now)
    created = obj["metadata"].get("creationTimestamp")
    if wire.struct_of(resource) is None:
        return [obj["metadata"]["name"], human.age(created, now)]
    return [obj["metadata"]["name"], created]


def row_conditions(resource: Resource, obj: Obj) -> list[Obj]:
    """The `conditions` of a row: `Completed` for a pod that has ended, so that `kubectl get` can hide it."""
    messages = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}
    phase = obj.get("status", {}).get("phase")
    if resource.key != "pods" or phase not in messages:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": messages[phase]}]


def custom_columns(printer_columns: list[Obj]) -> list[Obj]:
    """Columns of a custom resource with `additionalPrinterColumns`: its name, then those."""
    name = _columns()["custom"][0]
    return [name] + [
        {
            "name": column["name"],
            "type": column["type"],
            "format": column.get("format", ""),
            "description": column.get("description")
            or f"Custom resource definition column (in JSONPath format): {column['jsonPath']}",
            "priority": column.get("priority", 0),
        }
        for column in printer_columns
    ]


@cache
def _columns() -> dict[str, list[Obj]]:
    text = package_data.files("labctl.embedded.kinds").joinpath("data/columns.json").read_text(encoding="utf-8")
    data = json.loads(text)
    descriptions = data["descriptions"]
    return {
        key: [
            {"name": name, "type": kind, "format": form, "description": descriptions[index], "priority": priority}
            for name, kind, form, priority, index in listed
        ]
        for key, listed in data["columns"].items()
    }


_CELLS: dict[str, Callable[[Obj, datetime], Cells]] = {
    **cluster.CELLS,
    **network.CELLS,
    **pods.CELLS,
    **workloads.CELLS,
}
