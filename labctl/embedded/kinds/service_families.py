"""IP families of Services and the checks on cluster IPs that allocation needs first.

Source: initIPFamilyFields (pkg/registry/core/service/storage/alloc.go) and ValidateServiceClusterIPsRelatedFields.
The cluster has one family, IPv4, as a k3s without dual-stack flags.
"""

from __future__ import annotations

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.addresses import family, ip_causes
from labctl.embedded.kinds.field import Cause, duplicate, invalid, invalid_value, not_supported, required
from labctl.embedded.kinds.resources import Resource

PRIMARY = "IPv4"
_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")


def fill_in(resource: Resource, service: Obj, old: Obj | None) -> None:
    """Set ipFamilyPolicy and ipFamilies, in place.

    Raises:
        ApiError: 422 for families the cluster does not have, or cluster IPs that are none.
    """
    spec: Obj = service["spec"]
    if spec.get("type") == "ExternalName":
        return
    selectorless = spec.get("clusterIP") == "None" and not spec.get("selector")
    if spec.get("ipFamilyPolicy") is None:
        known = (old or {}).get("spec", {}).get("ipFamilyPolicy")
        spec["ipFamilyPolicy"] = known or ("RequireDualStack" if selectorless else "SingleStack")
    name = service["metadata"].get("name", "")
    _refuse(resource, name, cluster_ip_causes(spec))
    _refuse(resource, name, _policy_causes(spec, (old or {}).get("spec", {})))
    _infer_families(spec)
    if selectorless:
        _selectorless(spec)
        return
    _refuse(resource, name, _unconfigured_causes(spec))
    if not spec.get("ipFamilies"):
        spec["ipFamilies"] = [PRIMARY]


def cluster_ip_causes(spec: Obj) -> list[Cause]:
    """What is wrong with clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy taken together."""
    if spec.get("type") == "ExternalName":
        return []
    causes = _agreement(spec)
    families = spec.get("ipFamilies", ())
    for index, item in enumerate(families):
        if item not in ("IPv4", "IPv6"):
            causes.append(not_supported(f"spec.ipFamilies[{index}]", item, ("IPv4", "IPv6")))
        if item in families[:index]:
            causes.append(duplicate(f"spec.ipFamilies[{index}]", item))
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in _POLICIES:
        causes.append(not_supported("spec.ipFamilyPolicy", policy, _POLICIES))
    return causes + _address_causes(spec)


def _agreement(spec: Obj) -> list[Cause]:
    single, plural = spec.get("clusterIP", ""), spec.get("clusterIPs", [])
    if not single:
        text = "must be empty when `clusterIP` is not specified"
        return [invalid_value("spec.clusterIPs", plural, text)] if plural else []
    if not plural:
        return [required("spec.clusterIPs")]
    if plural[0] != single:
        return [invalid_value("spec.clusterIPs", plural, "first value must match `clusterIP`")]
    return []


def _address_causes(spec: Obj) -> list[Cause]:
    plural, families = spec.get("clusterIPs", []), spec.get("ipFamilies", [])
    causes: list[Cause] = []
    for index, address in enumerate(plural):
        if index == 0 and address == "None":
            if len(plural) > 1:
                text = "'None' must be the first and only value"
                causes.append(invalid_value("spec.clusterIPs", plural, text))
            continue
        causes += ip_causes(f"spec.clusterIPs[{index}]", address)
    malformed = bool(causes)
    if len(plural) > 2:
        causes.append(invalid_value("spec.clusterIPs", plural, "may only hold up to 2 values"))
    if malformed:
        return causes
    if len(plural) > 1 and len({family(address) for address in plural}) < 2:
        causes.append(invalid_value("spec.clusterIPs", plural, "may specify no more than one IP for each IP family"))
    if spec.get("clusterIP") != "None":
        for index, (address, wanted) in enumerate(zip(plural, families, strict=False)):
            if family(address) != wanted:
                text = f"expected an {wanted} value as indicated by `ipFamilies[{index}]`"
                causes.append(invalid_value(f"spec.clusterIPs[{index}]", address, text))
    return causes


def _policy_causes(spec: Obj, before: Obj) -> list[Cause]:
    path, policy = "spec.ipFamilyPolicy", spec["ipFamilyPolicy"]
    causes: list[Cause] = []
    if policy != "SingleStack":
        for name, what in (("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")):
            if spec.get(name) and len(spec[name]) < len(before.get(name, ())):
                text = f"must be 'SingleStack' to release the secondary {what}"
                causes.append(invalid_value(path, policy, text))
        return causes
    for name, what in (("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")):
        if before and len(spec.get(name, ())) > 1 and spec[name] == before.get(name):
            spec[name] = spec[name][:1]
        if len(spec.get(name, ())) == 2:
            text = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
            causes.append(invalid_value(path, policy, text))
    return causes


def _infer_families(spec: Obj) -> None:
    addresses = spec.get("clusterIPs", ())
    if spec.get("clusterIP") == "None":
        return
    known = spec.get("ipFamilies", [])
    inferred = [*known, *(family(address) for address in addresses[len(known) :])]
    if inferred:
        spec["ipFamilies"] = inferred


def _selectorless(spec: Obj) -> None:
    """A headless Service without selector may name families the cluster does not have."""
    families = spec.get("ipFamilies") or [PRIMARY]
    if len(families) < 2 and spec["ipFamilyPolicy"] != "SingleStack":
        families = [*families, "IPv6" if families[0] == "IPv4" else "IPv4"]
    spec["ipFamilies"] = families


def _unconfigured_causes(spec: Obj) -> list[Cause]:
    causes: list[Cause] = []
    if spec["ipFamilyPolicy"] == "RequireDualStack":
        text = "this cluster is not configured for dual-stack services"
        causes.append(invalid_value("spec.ipFamilyPolicy", spec["ipFamilyPolicy"], text))
    for index, item in enumerate(spec.get("ipFamilies", ())):
        if item != PRIMARY:
            causes.append(invalid_value(f"spec.ipFamilies[{index}]", item, "not configured on this cluster"))
    return causes


def _refuse(resource: Resource, name: str, causes: list[Cause]) -> None:
    if causes:
        raise invalid(resource, name, causes)
