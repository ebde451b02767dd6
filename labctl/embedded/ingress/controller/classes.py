"""Which Ingresses are this controller's: IngressClass objects, the old annotation, and Ingresses without a class."""

from __future__ import annotations

from labctl.embedded.clientset import Obj
from labctl.embedded.ingress.controller.flags import Flags

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
WITHOUT_CLASS = "_"


class ClassError(Exception):
    """An Ingress is not this controller's; the message is the controller's reason."""


class IngressClasses:
    """The IngressClasses that name this controller."""

    def __init__(self, flags: Flags) -> None:
        self._flags = flags
        self._names: set[str] = set()

    def add(self, ingress_class: Obj) -> tuple[bool, str]:
        """A class appeared: whether that changes something, and what to log."""
        flags, name = self._flags, ingress_class["metadata"]["name"]
        by_name = flags.ingress_class_by_name and name == flags.ingress_class
        if not by_name and not self._ours(ingress_class):
            return False, _not_ours(name)
        self._names.add(name)
        message = "adding ingressclass as ingress-class-by-name is configured"
        return True, f'"{message}" ingressclass="{name}"' if by_name else ""

    def remove(self, ingress_class: Obj) -> tuple[bool, str]:
        """A class is gone: whether that changes something, and what to log."""
        name = ingress_class["metadata"]["name"]
        if not self._ours(ingress_class):
            return False, _not_ours(name)
        self._names.discard(name)
        return True, ""

    def _ours(self, ingress_class: Obj) -> bool:
        return (ingress_class.get("spec") or {}).get("controller") == self._flags.controller_class

    def class_of(self, ingress: Obj) -> str:
        """The class of an Ingress.

        Raises:
            ClassError: It is not for this controller.
        """
        name = (ingress.get("spec") or {}).get("ingressClassName")
        if name is not None:
            if name not in self._names:
                raise ClassError(f'no object matching key "{name}" in local store')
            return str(name)
        annotation = (ingress["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
        if annotation is not None:
            if annotation != self._flags.ingress_class:
                raise ClassError("ingress class annotation is not equal to the expected by Ingress Controller")
            return str(annotation)
        if self._flags.watch_ingress_without_class:
            return WITHOUT_CLASS
        raise ClassError("ingress does not contain a valid IngressClass")


def _not_ours(name: str) -> str:
    message = "ignoring ingressclass as the spec.controller is not the same of this ingress"
    return f'"{message}" ingressclass="{name}"'
