"""Runs the controllers: observes, queues, carries out what they want, in short turns on the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from labctl.embedded.clientset import ApiError, Change, ChangeType, Clientset, Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.controller import Controller
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.queue import WorkQueue
from labctl.embedded.controllers.recorder import EventRecorder
from labctl.embedded.controllers.registry import all_controllers, observed_resources
from labctl.embedded.controllers.settings import ControllerSettings
from labctl.embedded.controllers.tokens import IssueToken
from labctl.embedded.controllers.view import Cache, Place
from labctl.embedded.controllers.wanted import Create, Delete, Note, Recheck, Record, Update, Wanted
from labctl.env import Clock

_log = logging.getLogger(__name__)

Item = tuple[int, Key]
"""Index of the controller, and what it has to look at."""


@dataclass(slots=True)
class _Work:
    """A plan that is being carried out."""

    item: Item
    controller: Controller
    steps: Iterator[Wanted]
    versions: dict[Place, tuple[str, str]]


class ControllerManager:
    """Runs all controllers of one cluster. Everything happens on the event loop, in turns of a few milliseconds."""

    def __init__(
        self,
        clientset: Clientset,
        settings: ControllerSettings | None = None,
        *,
        clock: Clock | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        issue_token: IssueToken | None = None,
        controllers: Sequence[Controller] | None = None,
    ) -> None:
        """Make a manager that does nothing until `start`.

        Args:
            clientset: The API with the controllers' rights.
            settings: Times and names.
            clock: Time of day; the default is the system's.
            loop: The event loop; the default is the running one at `start`.
            issue_token: Makes the tokens of ServiceAccounts' Secrets; without it such Secrets stay as they are.
            controllers: Which controllers to run; the default is all.
        """
        self._clientset = clientset
        self._settings = settings or ControllerSettings()
        self._clock = clock or Clock()
        self._loop = loop
        if controllers is None:
            controllers = tuple(all_controllers(self._settings, self._now(), issue_token))
        self._controllers = tuple(controllers)
        self._watchers: dict[str, list[int]] = {}
        self._everywhere: list[int] = []
        for index, controller in enumerate(self._controllers):
            if not controller.resources:
                self._everywhere.append(index)
            for resource in controller.resources:
                self._watchers.setdefault(resource, []).append(index)
        self.recorder = EventRecorder(clientset)
        self._cache = Cache()
        self._queue: WorkQueue[Item] = WorkQueue()
        self._work: _Work | None = None
        self._turn_handle: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._unsubscribe: Callable[[], None] | None = None
        self._running = False
        self._idle: list[asyncio.Future[None]] = []

    def start(self) -> None:
        """Read the cluster and begin. Must be called on the event loop (or with the loop given)."""
        self._loop = self._loop or asyncio.get_running_loop()
        self._running = True
        self._cache, self._queue = Cache(), WorkQueue()
        self._unsubscribe = self._clientset.subscribe(self._observe)
        for resource in observed_resources(self._clientset):
            self._cache.fill(resource, self._list(resource))
        for resource, obj in self._cache.everything():
            self._dispatch(Change(ChangeType.ADDED, resource, obj))
        self._wake()

    def stop(self) -> None:
        """Do nothing more. Planned work is forgotten: a later start finds it again."""
        self._running = False
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        for handle in (self._turn_handle, self._timer):
            if handle is not None:
                handle.cancel()
        self._turn_handle = self._timer = None
        self._tell_idle()

    @property
    def settled(self) -> bool:
        """Whether no work is queued or under way (work that waits for its time does not count)."""
        return self._work is None and self._queue.is_idle()

    async def wait_settled(self) -> None:
        """Wait until there is no work. Who waits decides for how long (`asyncio.timeout`)."""
        while self._running and not self.settled:
            waiter = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            await waiter

    @property
    def _has_work(self) -> bool:
        return self._work is not None or len(self._queue) > 0

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _list(self, resource: str) -> list[Obj]:
        try:
            return self._clientset.list(resource)
        except ApiError as error:
            _log.debug("%s is not observed: %s", resource, error.message)
            return []

    def _observe(self, change: Change) -> None:
        self._cache.observe(change)
        self._dispatch(change)
        self._wake()

    def _dispatch(self, change: Change) -> None:
        for index in (*self._watchers.get(change.resource, ()), *self._everywhere):
            controller = self._controllers[index]
            for key in controller.keys(change, self._cache):
                if controller.delay:
                    self._queue.add_soon((index, key), self._now() + controller.delay)
                else:
                    self._queue.add((index, key))

    def _wake(self) -> None:
        if not self._running or self._loop is None:
            return
        if self._turn_handle is None and self._has_work:
            self._turn_handle = self._loop.call_soon(self._turn)
        self._set_timer()

    def _set_timer(self) -> None:
        when = self._queue.next_time()
        if self._loop is None or when is None or (self._timer is not None and self._timer_at == when):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._loop.call_later(max(0.0, when - self._now()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._queue.release(self._now())
        self._wake()

    def _turn(self) -> None:
        self._turn_handle = None
        ends = time.perf_counter() + self._settings.turn
        try:
            while self._running and self._has_work:
                if self._work is None:
                    self._work = self._begin(self._queue.pop())
                self._proceed(self._work, ends)
                if time.perf_counter() >= ends:
                    break
        finally:
            # Also after a fault in one controller (which the loop's exception handler reports): the others go on.
            if self.settled:
                self._tell_idle()
            self._wake()

    def _tell_idle(self) -> None:
        waiters, self._idle = self._idle, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _begin(self, item: Item) -> _Work:
        controller = self._controllers[item[0]]
        plan = controller.reconcile(self._cache, item[1], self._now())
        return _Work(item, controller, iter(plan), {})

    def _proceed(self, work: _Work, ends: float) -> None:
        for step in work.steps:
            try:
                self._carry_out(step, work)
            except ApiError as error:
                self._fail(work, error)
                return
            if time.perf_counter() >= ends:
                # The rest of the plan stands on old observations once others had their turn: look again instead,
                # unless nothing about it changed.
                if work.item in self._queue:
                    self._work = None
                return
        self._queue.succeeded(work.item)
        self._work = None

    def _fail(self, work: _Work, error: ApiError) -> None:
        _log.debug("%s %s: %s", work.controller.name, "/".join(work.item[1]), error.message)
        self._work = None
        try:
            for step in work.controller.failed(self._cache, work.item[1], self._now(), error):
                self._carry_out(step, work)
        except ApiError as again:
            _log.debug("%s: %s", work.controller.name, again.message)
        self._queue.add_failed(work.item, self._now())

    def _carry_out(self, step: Wanted, work: _Work) -> None:
        match step:
            case Create():
                self._create(step, work.controller)
            case Update():
                self._update(step, work)
            case Delete():
                self._delete(step, work.controller)
            case Record():
                self._record(step, work.controller)
            case Recheck():
                self._queue.add_at(work.item, step.at)

    def _create(self, step: Create, controller: Controller) -> None:
        try:
            made = self._clientset.create(step.resource, step.object)
        except ApiError as error:
            if step.exists_is_fine and error.reason == "AlreadyExists":
                return
            self._record(step.otherwise, controller, error=error.message)
            raise
        self._record(step.then, controller, name=meta.name(made))

    def _update(self, step: Update, work: _Work) -> None:
        place = (step.resource, meta.namespace(step.object), meta.name(step.object))
        observed = step.object["metadata"].get("resourceVersion", "")
        base, latest = work.versions.get(place, ("", ""))
        obj = meta.with_metadata(step.object, resourceVersion=latest) if base and base == observed else step.object
        updated = self._clientset.update(step.resource, obj, subresource=step.subresource)
        work.versions[place] = (observed, (updated.get("metadata") or {}).get("resourceVersion", ""))
        self._record(step.then, work.controller)

    def _delete(self, step: Delete, controller: Controller) -> None:
        try:
            self._clientset.delete(step.resource, meta.namespace(step.object), meta.name(step.object), step.options)
        except ApiError as error:
            if error.reason == "NotFound":
                return
            self._record(step.otherwise, controller, error=error.message)
            raise
        self._record(step.then, controller)

    def _record(self, record: Record | None, controller: Controller, *, name: str = "", error: str = "") -> None:
        if record is None:
            return
        message = record.note.message.replace("{name}", name).replace("{error}", error)
        note = Note(record.note.reason, message, record.note.type)
        if record.action:
            instance = f"{controller.name}-{self._settings.server}"
            self.recorder.report(
                record.about, note, self._now(), controller=controller.name, instance=instance, action=record.action
            )
        else:
            self.recorder.record(record.about, note, self._now(), component=controller.name, host=controller.host)
