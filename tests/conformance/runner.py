"""Runs cases against a world and collects what differs."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.compare import Comparison, Difference, admission, normalised
from tests.conformance.corpus import Case
from tests.conformance.harness import World

Json = dict[str, Any]
_PATIENT = 5.0  # seconds of waiting from which a case runs beside others
_SYNC_SECONDS = 3.0
_QUIET = 0.02
_SETTLE_SECONDS = 0.5
_SLOTS = 40
_DICE = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case's differences.

    Attributes:
        case: The case.
        differences: For each one where it is, what was recorded, and what came.
    """

    case: Case
    differences: tuple[tuple[str, Difference], ...]

    def failures(self) -> list[Json]:
        """In the report's form."""
        return [
            {"case": self.case.name, "request": where, "expected": {what: wanted}, "got": {what: found}}
            for where, (what, wanted, found) in self.differences
        ]


@dataclass(slots=True)
class Run:
    """One case on its way.

    Attributes:
        pods: Which pods play the parts of the recorded ones, where chance had given them out.
    """

    case: Case
    world: World
    sentinels: Any = field(default_factory=lambda: itertools.count(1))
    found: list[tuple[str, Difference]] = field(default_factory=list)
    pods: dict[str, str] = field(default_factory=dict)

    def note(self, where: str, differences: Iterable[Difference]) -> None:
        """Keep differences."""
        self.found += [(where, difference) for difference in differences]

    async def play(self) -> None:
        """Apply the manifests, then go through the results."""
        await self._apply_manifests()
        comparison = Comparison(self.case)
        for entry in self.case.results:
            if "action" in entry:
                got = await self._act(entry)
                where = json.dumps({name: entry[name] for name in entry if name not in {"observed", "objs", "obj"}})
            else:
                got = await self._request(entry["request"], entry["observed"])
                where = json.dumps(entry["request"], ensure_ascii=False)
            self.note(where, comparison.result(entry, got))
        self.found += comparison.pooled()

    async def _apply_manifests(self) -> None:
        data = self.case.data
        one_by_one = self.case.name.startswith("canary-oldest-")
        answers = {(entry["kind"], entry["name"]): entry for entry in data["apply"]}
        for obj in data["manifests"]:
            if one_by_one:
                self.world.tick()
            recorded = answers.get((obj["kind"], obj["metadata"]["name"]), {})
            where = f"apply {obj['kind']}/{obj['metadata']['name']}"
            if recorded.get("admission_webhook") is not None and "configmap" not in data:
                wanted, got = admission(recorded["admission_webhook"]), admission(self.world.admit(obj))
                if wanted != got:
                    self.note(where, [("admission_webhook", wanted, got)])
            status = self.world.apply(obj)
            if recorded and status // 100 != recorded["api_status"] // 100:
                self.note(where, [("api_status", recorded["api_status"], status)])
            await asyncio.sleep(0)
        synced = await self._synced(_SYNC_SECONDS if data["synced"] else 0.3)
        if synced != data["synced"]:
            self.note("apply", [("synced", data["synced"], synced)])

    async def _synced(self, seconds: float) -> bool:
        """Whether an Ingress created now becomes routable."""
        number = next(self.sentinels)
        host = f"sentinel-{number}.test"
        backend = {"service": {"name": "svc-a", "port": {"number": 80}}}
        rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
        self.world.apply(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": f"zzz-sentinel-{number}", "namespace": "default"},
                "spec": {"ingressClassName": "nginx", "rules": [rule]},
            }
        )
        return await self.world.until(lambda: self.world.serves(host), seconds)

    # Actions

    async def _act(self, entry: Json) -> Json:
        action = entry["action"]
        if action in {"apply", "delete", "scale", "config"}:
            return await self._change(entry)
        if action == "echo":
            words = [self.pods.get(word, word) for word in entry["path"].split("/")]
            return {"result": await self.world.echo("/".join(words))}
        if action == "sleep":
            await asyncio.sleep(entry["s"])
            return {}
        if action == "sync":
            return {"synced": await self._synced(_SYNC_SECONDS)}
        if action == "get":
            obj = self.world.read(entry["path"])
            return {"result": (obj or {}).get(entry["field"]) if "field" in entry else obj}
        if action == "http":
            return await self._own_port(entry)
        if action == "admission":
            return {"result": self.world.admit(entry["obj"])}
        if action == "events":
            return {"events": self.world.events(entry["names"])}
        return dict(entry["observed"])

    async def _change(self, entry: Json) -> Json:
        action, log, reloads = entry["action"], len(self.world.lines), self.world.reloads()
        api: Any
        if action == "apply":
            api = [[obj["metadata"]["name"], self.world.apply(obj)] for obj in entry["objs"]]
        elif action == "delete":
            api = [self.world.delete(obj) for obj in entry["objs"]]
        elif action == "scale":
            api = self.world.scale(entry["svc"], entry["pods"])
        else:
            api = self.world.configure(entry["data"])
        await asyncio.sleep(_QUIET)
        await self.world.until(self.world.idle, _SETTLE_SECONDS)
        return {"api": api, "reloads": self.world.reloads() - reloads, "log": self.world.log_lines(log)}

    async def _own_port(self, entry: Json) -> Json:
        got = await self.world.client.send(
            {"port": entry["port"], "path": entry["path"], "host": f"127.0.0.1:{entry['port']}"}
        )
        body = str(got.get("body", ""))
        if entry["path"] == "/configuration/backends" and body.startswith("["):
            lines = [json.dumps(backend) for backend in json.loads(body)]
        else:
            lines = body.splitlines() if "grep" in entry else [body]
        if "grep" in entry:
            lines = self.world.grep(lines, entry["grep"])
        return {"status": got.get("status"), "headers": got.get("headers", []), "lines": lines}

    # Requests

    async def _request(self, request: Json, recorded: Json) -> Json:
        count = int(request.get("count", 1))
        if count == 1:
            return await self._one(request, recorded)
        statuses: Counter[str] = Counter()
        pods: Counter[str] = Counter()
        order: list[str] = []
        cookies, first = 0, None
        for number in range(count):
            got = await self.world.client.send(_varied(request, number))
            first = first or got
            statuses[str(got.get("status", "error"))] += 1
            if "pod" in got:
                pods[got["pod"]] += 1
                order.append(got["pod"])
            cookies += any(name.lower() == "set-cookie" for name, _ in got.get("headers", ()))
        return {
            "status_histogram": dict(statuses),
            "pod_histogram": dict(pods),
            "order_first": order[:60],
            "responses_with_set_cookie": cookies,
            "first": first,
        }

    async def _one(self, request: Json, recorded: Json) -> Json:
        """One request; a new user is sent again until chance gives it a pod that can stand for the recorded one."""
        jar, pod = str(request.get("jar", "")), recorded.get("pod")
        got: Json = {}
        for _ in range(_DICE):
            new_user = bool(jar) and not self.world.client.jars.get(jar)
            got = await self.world.client.send(request)
            if not new_user or pod is None or "pod" not in got or self._stands_for(pod, got["pod"]):
                return got
            self.world.client.jars.pop(jar, None)
        return got

    def _stands_for(self, recorded: str, got: str) -> bool:
        """Whether a pod may play the part of the recorded one: always the same for the same."""
        if recorded not in self.pods and got not in self.pods.values():
            self.pods[recorded] = got
        return self.pods.get(recorded) == got


def _varied(request: Json, number: int) -> Json:
    vary = request.get("vary")
    if not vary:
        return request
    value = vary["values"][number % len(vary["values"])]
    if vary["what"] in {"path", "from", "host"}:
        return {**request, vary["what"]: value}
    headers = request.get("headers") or {}
    return {**request, "headers": {**headers, vary.get("name", vary["what"]): value}}


async def run_case(case: Case, slot: int = 0) -> Outcome:
    """Run one case in a world of its own."""
    world = World(case.data.get("controller_flags") or (), case.data.get("configmap") or {}, slot=slot)
    await world.start()
    run = Run(case, world)
    try:
        await run.play()
    finally:
        await world.stop()
    return Outcome(case, tuple(run.found))


async def run_all(cases: Sequence[Case], *, progress: Any = None) -> list[Outcome]:
    """Run cases one after the other, those that mostly wait beside them."""
    patient = [case for case in cases if case.patience >= _PATIENT]
    waiting = [asyncio.create_task(run_case(case, 1 + slot % _SLOTS)) for slot, case in enumerate(patient)]
    outcomes = []
    for case in cases:
        if case not in patient:
            outcomes.append(await run_case(case))
            if progress is not None:
                progress(outcomes[-1])
    for task in waiting:
        outcomes.append(await task)
        if progress is not None:
            progress(outcomes[-1])
    return outcomes


__all__ = ["Outcome", "Run", "normalised", "run_all", "run_case"]
