from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from labctl.embedded.clientset import ApiError, Change, Obj
from labctl.embedded.controllers import ControllerManager, ControllerSettings
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Create, Plan, Recheck, Update
from tests.unit.embedded_controllers.cluster import Cluster, MemoryClientset, deployment, run


def _config_map(name: str, data: str = "") -> Obj:
    return {"metadata": {"name": name, "namespace": "default"}, "data": {"x": data}}


class Scripted(BaseController):
    """A controller whose answers a test gives."""

    name = "scripted"
    resources = frozenset({"configmaps"})

    def __init__(self, answer: Callable[[View, Key, float], Plan]) -> None:
        self.answer = answer
        self.looked: list[str] = []

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        return (("default", change.object["metadata"]["name"]),)

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        self.looked.append(key[1])
        return self.answer(view, key, now)


def _drive(
    controller: Scripted, scenario: Callable[[MemoryClientset, ControllerManager], None], seconds: float
) -> None:
    async def main() -> None:
        api = MemoryClientset()
        manager = ControllerManager(api, ControllerSettings(), controllers=[controller])
        manager.start()
        scenario(api, manager)
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            await manager.wait_settled()
            await asyncio.sleep(0.002)
        manager.stop()

    asyncio.run(main())


def test_a_refused_write_is_tried_again_with_growing_distance() -> None:
    refused = [ApiError(409, "Conflict", "modified") for _ in range(3)]

    def refuse(resource: str, obj: Obj) -> ApiError | None:
        return refused.pop() if resource == "secrets" and refused else None

    secret = {"metadata": {"name": "s", "namespace": "default"}}

    def answer(view: View, key: Key, now: float) -> Plan:
        return () if view.get("secrets", "default", "s") else (Create("secrets", secret),)

    controller = Scripted(answer)

    def scenario(api: MemoryClientset, manager: ControllerManager) -> None:
        api.refusals.append(refuse)
        api.create("configmaps", _config_map("a"))

    _drive(controller, scenario, 0.2)
    assert controller.looked == ["a"] * 4
    assert refused == []


def test_a_planned_time_brings_the_key_back_once() -> None:
    def answer(view: View, key: Key, now: float) -> Plan:
        return (Recheck(now + 0.03),) if len(controller.looked) == 1 else ()

    controller = Scripted(answer)

    def scenario(api: MemoryClientset, manager: ControllerManager) -> None:
        api.create("configmaps", _config_map("a"))

    _drive(controller, scenario, 0.15)
    assert controller.looked == ["a", "a"]


def test_two_updates_of_one_object_in_one_plan_do_not_conflict() -> None:
    def answer(view: View, key: Key, now: float) -> Plan:
        seen = view.get("configmaps", *key)
        assert seen is not None
        if seen["data"]["x"]:
            return ()
        return (
            Update("configmaps", {**seen, "data": {"x": "one"}}),
            Update("configmaps", {**seen, "data": {"x": "two"}}),
        )

    controller = Scripted(answer)
    seen: list[str] = []

    def scenario(api: MemoryClientset, manager: ControllerManager) -> None:
        api.subscribe(lambda change: seen.append(change.object["data"]["x"]))
        api.create("configmaps", _config_map("a"))

    _drive(controller, scenario, 0.05)
    assert seen == ["", "one", "two"]


def test_a_fault_in_one_look_does_not_stop_the_others() -> None:
    faults: list[object] = []

    def answer(view: View, key: Key, now: float) -> Plan:
        if key[1] == "bad":
            raise ZeroDivisionError
        return ()

    controller = Scripted(answer)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))
        api = MemoryClientset()
        manager = ControllerManager(api, controllers=[controller])
        manager.start()
        for name in ("bad", "good"):
            api.create("configmaps", _config_map(name))
        await asyncio.wait_for(manager.wait_settled(), 5)
        manager.stop()

    asyncio.run(main())
    assert controller.looked == ["bad", "good"]
    assert [type(fault) for fault in faults] == [ZeroDivisionError]


def test_objects_that_exist_at_the_start_are_looked_at() -> None:
    controller = Scripted(lambda view, key, now: ())

    async def main() -> None:
        api = MemoryClientset()
        for name in ("a", "b"):
            api.create("configmaps", _config_map(name))
        manager = ControllerManager(api, controllers=[controller])
        manager.start()
        await asyncio.wait_for(manager.wait_settled(), 5)
        manager.stop()
        api.create("configmaps", _config_map("late"))
        assert not controller.looked[2:]

    asyncio.run(main())
    assert controller.looked == ["a", "b"]


def test_others_have_their_turn_between_the_steps_of_a_long_plan() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 100))
        turns = 0
        while len(cluster.api.list("pods")) < 100:
            await asyncio.sleep(0)
            turns += 1
        await cluster.settle()
        found = cluster.api.get("deployments.apps", "default", "web")
        assert found is not None
        assert found["status"]["availableReplicas"] == 100
        assert turns >= 100

    run(scenario, settings=ControllerSettings(root_ca="CA", seed=1, turn=0.0))


def test_scaling_down_halfway_through_a_scale_up_ends_at_the_last_size() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 60))
        for _ in range(3):
            await asyncio.sleep(0)
        cluster.api.set_spec("deployments.apps", "default", "web", replicas=3)
        await cluster.settle()
        assert len(cluster.api.list("pods")) == 3

    run(scenario)


def test_a_settled_cluster_writes_nothing() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 3))
        await cluster.settle()
        before = len(cluster.api.log)
        cluster.manager.stop()
        again = ControllerManager(cluster.api, ControllerSettings(root_ca="CA"), clock=cluster.api.clock)
        again.start()
        await again.wait_settled()
        again.stop()
        written = {change.object.get("reason") for change in cluster.api.log[before:]}
        assert written <= {"RegisteredNode", "Synced"}

    run(scenario)
