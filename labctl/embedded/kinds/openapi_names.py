"""Names of the schemas in the OpenAPI documents."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.embedded.kinds import wire
from labctl.embedded.kinds.resources import BUILTIN, Resource

META = "io.k8s.apimachinery.pkg.apis.meta.v1"

_PACKAGES = {
    "meta": META,
    "apiextensions/v1": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
    "apiregistration/v1": "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1",
}
SPECIAL_SCHEMAS = {
    "FieldsV1": f"{META}.FieldsV1",
    "IntOrString": "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    "JSON": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
    "JSONSchemaPropsOrArray": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
    "JSONSchemaPropsOrBool": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
    "JSONSchemaPropsOrStringArray": (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray"
    ),
    "MicroTime": f"{META}.MicroTime",
    "Patch": f"{META}.Patch",
    "Quantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "RawExtension": "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "Time": f"{META}.Time",
}


def schema_name(key: str) -> str:
    """Schema name of a Go type `package.Name`: `core/v1.Pod` is `io.k8s.api.core.v1.Pod`."""
    package, _, name = key.rpartition(".")
    return f"{_PACKAGES.get(package) or 'io.k8s.api.' + package.replace('/', '.')}.{name}"


def resource_schema(resource: Resource) -> str:
    """Schema name of a built-in resource's kind."""
    struct = wire.struct_of(resource)
    assert struct is not None
    return schema_name(f"{struct.package}.{struct.name}")


def list_kinds() -> Iterator[str]:
    """Schema names of the list kinds."""
    for resource in BUILTIN:
        if "list" in resource.verbs:
            yield f"{resource_schema(resource)}List"
