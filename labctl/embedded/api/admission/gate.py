"""Between a request and the store: whoever wants to be asked about a change is asked.

The API's handlers are plain functions, and asking takes time. So a handler that comes to a question nobody has
answered yet is left (`Unanswered`), the webhooks are asked, and the handler runs again with what they said; whatever
it found in the store is looked at afresh.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

from labctl.embedded.api.admission.caller import HookCaller
from labctl.embedded.api.admission.hooks import MUTATING, VALIDATING, Hook, Operation, read_hooks
from labctl.embedded.api.admission.review import HookFailedError, Verdict, failed, not_dry, question, verdict
from labctl.embedded.api.call import Call
from labctl.embedded.api.custom.celvalues import CelError
from labctl.embedded.api.errors import not_found
from labctl.embedded.api.jsonvalue import copy, equal
from labctl.embedded.api.registry import Registry
from labctl.embedded.clientset import Change, Obj
from labctl.embedded.http.messages import Response
from labctl.embedded.kinds.resources import Resource

_EXEMPT = "admissionregistration.k8s.io"
_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}

_Key = tuple[str, str, str, str, str]


class Unanswered(Exception):  # noqa: N818 - an effect, not a fault
    """A question that the webhooks have not answered yet."""

    def __init__(self, key: _Key, operation: Operation, hooks: tuple[Hook, ...]) -> None:
        super().__init__(key)
        self.key = key
        self.operation = operation
        self.hooks = hooks


class Gate:
    """Lets requests through that no webhook objects to.

    Args:
        registry: Where the configurations are.
        caller: Asks webhooks; None while nothing can be reached.
    """

    def __init__(self, registry: Registry, caller: HookCaller | None = None) -> None:
        self._registry = registry
        self.caller = caller
        self._hooks: tuple[Hook, ...] | None = None
        registry.subscribe(self._changed)

    def _changed(self, change: Change) -> None:
        if change.resource in (MUTATING, VALIDATING):
            self._hooks = None

    def interested(self, call: Call) -> bool:
        """Whether a webhook may want to be asked about a request."""
        resource = call.resource
        if resource is None or call.info.verb not in _VERBS or resource.group == _EXEMPT or self.caller is None:
            return False
        return any(hook.hears_of(resource) for hook in self._all())

    def _all(self) -> tuple[Hook, ...]:
        if self._hooks is None:
            mutating = read_hooks(self._registry.list(MUTATING), mutating=True)
            self._hooks = (*mutating, *read_hooks(self._registry.list(VALIDATING), mutating=False))
        return self._hooks

    async def answer(self, call: Call, handler: Callable[[Call], Response]) -> Response:
        """Answer a request, asking the webhooks that want to be asked.

        Raises:
            ApiError: As the handler does; or a webhook refuses the request, or cannot be asked and must be.
        """
        assert self.caller is not None
        conversation = Conversation(call, self._registry, self._all(), self.caller)
        call.admission = conversation
        while True:
            try:
                return handler(call)
            except Unanswered as unanswered:
                await conversation.settle(unanswered)


class Conversation:
    """What the webhooks said about one request so far; the registry's `Admission`."""

    def __init__(self, call: Call, registry: Registry, hooks: Sequence[Hook], caller: HookCaller) -> None:
        self._call = call
        self._registry = registry
        self._hooks = hooks
        self._caller = caller
        self._mutated: dict[_Key, Obj | None] = {}
        self._allowed: set[_Key] = set()

    # -- The registry's questions ------------------------------------------------------------------------------------

    def mutate(self, resource: Resource, new: Obj | None, old: Obj | None, subresource: str) -> Obj | None:
        """The object as mutating webhooks want it; None for a deletion.

        Raises:
            Unanswered: They have to be asked first.
        """
        operation = self._operation(resource, new, old, subresource)
        key = _key("mutate", operation)
        if key in self._mutated:
            wanted: Obj | None = copy(self._mutated[key])
            return wanted
        hooks = self._wanting(operation, mutating=True)
        if hooks:
            raise Unanswered(key, operation, hooks)
        return new

    def validate(self, resource: Resource, new: Obj | None, old: Obj | None, subresource: str) -> None:
        """Return when no validating webhook objects.

        Raises:
            Unanswered: They have to be asked first.
        """
        operation = self._operation(resource, new, old, subresource)
        key = _key("validate", operation)
        if key in self._allowed:
            return
        hooks = self._wanting(operation, mutating=False)
        if hooks:
            raise Unanswered(key, operation, hooks)

    def _operation(self, resource: Resource, new: Obj | None, old: Obj | None, subresource: str) -> Operation:
        metadata = (new or old or {}).get("metadata") or {}
        namespace = metadata.get("namespace") or self._call.info.namespace
        if resource.key == "namespaces":
            namespace = metadata.get("name", "")
        verb = "UPDATE" if new is not None and old is not None else "CREATE" if new is not None else "DELETE"
        return Operation(verb, resource, namespace, metadata.get("name", ""), subresource, new, old)

    def _wanting(self, operation: Operation, *, mutating: bool) -> tuple[Hook, ...]:
        namespace = None
        if operation.resource.namespaced:
            namespace = self._registry.get("namespaces", "", operation.namespace)
            if namespace is None:
                raise not_found(self._registry.resource("namespaces"), operation.namespace)
        return tuple(hook for hook in self._hooks if hook.mutating == mutating and hook.wants(operation, namespace))

    # -- Asking ------------------------------------------------------------------------------------------------------

    async def settle(self, unanswered: Unanswered) -> None:
        """Ask the webhooks of a question, and remember their answer.

        Raises:
            ApiError: One of them refuses, or cannot be asked and must be.
        """
        operation = unanswered.operation
        if unanswered.key[0] == "mutate":
            self._mutated[unanswered.key] = await self._mutate(operation, unanswered.hooks)
            return
        verdicts = await asyncio.gather(*(self._ask(hook, operation) for hook in unanswered.hooks))
        for found in verdicts:
            self._heed(found)
        self._allowed.add(unanswered.key)

    async def _mutate(self, operation: Operation, hooks: Sequence[Hook]) -> Obj | None:
        """One after the other, each with what the one before made of it; those that want to are asked again."""
        changed_after: dict[int, bool] = {}
        for number, hook in enumerate(hooks):
            operation, changed = await self._change(operation, hook)
            changed_after = {earlier: before or changed for earlier, before in changed_after.items()}
            changed_after[number] = False
        for number, changed in changed_after.items():
            if changed and hooks[number].data.get("reinvocationPolicy") == "IfNeeded":
                operation, _ = await self._change(operation, hooks[number])
        return operation.new

    async def _change(self, operation: Operation, hook: Hook) -> tuple[Operation, bool]:
        found = await self._ask(hook, operation)
        self._heed(found)
        if found.patched is None:
            return operation, False
        return replace(operation, new=found.patched), not equal(found.patched, operation.new)

    def _heed(self, found: Verdict) -> None:
        for text in found.warnings:
            self._call.warn(text)
        if found.refusal is not None:
            raise found.refusal

    async def _ask(self, hook: Hook, operation: Operation) -> Verdict:
        call = self._call
        dry_run = "All" in call.info.query.get("dryRun", ())
        options = self._options(dry_run=dry_run)
        review = question(hook, operation, call.user, str(uuid.uuid4()), options, dry_run=dry_run)
        try:
            request = review["request"]
            variables = {"request": request, "object": request["object"], "oldObject": request["oldObject"]}
            if not hook.conditions_hold(variables):
                return Verdict()
            if dry_run and not hook.dry:
                raise not_dry(hook)
            return verdict(hook, review, await self._caller.ask(hook, review))
        except CelError as error:
            return _unable(hook, HookFailedError(f"match conditions: {error}"))
        except HookFailedError as error:
            return _unable(hook, error)

    def _options(self, *, dry_run: bool) -> Obj:
        info = self._call.info
        options: Obj = {"kind": _OPTIONS.get(info.verb, "DeleteOptions"), "apiVersion": "meta.k8s.io/v1"}
        options |= {"dryRun": ["All"]} if dry_run else {}
        names = ("fieldManager", "fieldValidation") if info.verb in _OPTIONS else ("propagationPolicy",)
        return options | {name: info.param(name) for name in names if info.param(name)}


def _unable(hook: Hook, error: HookFailedError) -> Verdict:
    return Verdict() if hook.may_fail else Verdict(refusal=failed(hook, error))


def _key(stage: str, operation: Operation) -> _Key:
    metadata = (operation.new or {}).get("metadata") or {}
    name = operation.name if operation.old is not None else metadata.get("generateName") or operation.name
    version = ((operation.old or {}).get("metadata") or {}).get("resourceVersion", "")
    return stage, operation.path, operation.namespace, name, version
