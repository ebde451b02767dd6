"""Plays cases on a target and collects what differs."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labctl.conformance.compare import Comparison, Difference, admission
from labctl.conformance.corpus import Case
from labctl.conformance.target import Progress, Target, View, World
from labctl.model.conformance import Agreement, CaseReport, Mismatch

Json = dict[str, Any]
_PATIENT = 5.0  # seconds of waiting from which a case is played beside others
_DICE = 60


class NotAskedError(Exception):
    """The rest of a case cannot be played; the message says why."""


@dataclass(slots=True)
class Run:
    """One case on its way.

    Attributes:
        found: What differs: where, and what.
        asked: How many requests and actions were compared.
        not_asked: Why others were not.
        pods: Which pods play the parts of the recorded ones, where chance had given them out.
    """

    case: Case
    world: World
    view: View = View()
    found: list[tuple[str, Difference]] = field(default_factory=list)
    asked: int = 0
    not_asked: list[str] = field(default_factory=list)
    pods: dict[str, str] = field(default_factory=dict)

    def note(self, where: str, differences: Iterable[Difference]) -> None:
        """Keep differences."""
        self.found += [(where, difference) for difference in differences]

    async def play(self) -> None:
        """Apply the manifests, then go through the results.

        Raises:
            NotAskedError: The target refuses the case's objects where the recording's API took them.
        """
        await self._apply_manifests()
        comparison = Comparison(self.case, self.view)
        for entry in self.case.results:
            reason = self.world.refuses(entry)
            if reason:
                self.not_asked.append(reason)
                if _changes(entry):
                    break  # what follows was recorded in a world that this one cannot be brought to
                continue
            self.asked += 1
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
                await self.world.tick()
            recorded = answers.get((obj["kind"], obj["metadata"]["name"]), {})
            self._compare_admission(obj, recorded)
            status = self.world.apply(obj)
            if recorded and status // 100 != recorded["api_status"] // 100:
                where = f"apply {obj['kind']}/{obj['metadata']['name']}"
                self._refused(where, recorded, status)
            await asyncio.sleep(0)
        synced = await self.world.synced(expected=data["synced"])
        if synced != data["synced"]:
            self.note("apply", [("synced", data["synced"], synced)])

    def _compare_admission(self, obj: Json, recorded: Json) -> None:
        if recorded.get("admission_webhook") is None or "configmap" in self.case.data:
            return
        answer = self.world.admit(obj)
        if answer is None:
            return
        wanted, got = admission(recorded["admission_webhook"]), admission(answer)
        if wanted != got:
            self.note(f"apply {obj['kind']}/{obj['metadata']['name']}", [("admission_webhook", wanted, got)])

    def _refused(self, where: str, recorded: Json, status: int) -> None:
        """The API answered otherwise; where the recorded webhook refused too, that is agreement, and the end."""
        if not self.view.wire and not (recorded.get("admission_webhook") or {"allowed": True})["allowed"]:
            raise NotAskedError("refused by the cluster's webhook, as the recorded webhook would have")
        self.note(where, [("api_status", recorded["api_status"], status)])

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
            return {"synced": await self.world.synced(expected=True)}
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
        action, log, reloads = entry["action"], self.world.log_mark(), self.world.reloads()
        api: Any
        if action == "apply":
            api = [[obj["metadata"]["name"], self.world.apply(obj)] for obj in entry["objs"]]
        elif action == "delete":
            api = [self.world.delete(obj) for obj in entry["objs"]]
        elif action == "scale":
            api = self.world.scale(entry["svc"], entry["pods"])
        else:
            api = self.world.configure(entry["data"])
        await self.world.settle()
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
            lines = [line for line in lines if re.search(entry["grep"], line)]
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


def _changes(entry: Json) -> bool:
    """Whether an entry is an action after which other answers are to be expected."""
    return entry.get("action") == "config" or str(entry.get("path", "")).strip("/").startswith(("down", "up", "delay"))


def _varied(request: Json, number: int) -> Json:
    vary = request.get("vary")
    if not vary:
        return request
    value = vary["values"][number % len(vary["values"])]
    if vary["what"] in {"path", "from", "host"}:
        return {**request, vary["what"]: value}
    headers = request.get("headers") or {}
    return {**request, "headers": {**headers, vary.get("name", vary["what"]): value}}


async def play_case(target: Target, case: Case, listed: Mapping[str, str], slot: int = 0) -> CaseReport:
    """Play one case in a world of its own.

    Args:
        target: Where.
        case: What.
        listed: Cases that are known to differ, each with the reason.
        slot: Tells worlds apart that exist at the same time.
    """
    reason = target.refuses(case)
    if reason:
        return CaseReport(case.group, case.name, Agreement.SKIPPED, reason=reason)
    world = target.world(case, slot)
    run = Run(case, world, target.view)
    try:
        await world.start()
        await run.play()
    except NotAskedError as error:
        return CaseReport(case.group, case.name, Agreement.SKIPPED, reason=str(error))
    finally:
        await world.stop()
    return _told(run, listed)


def _told(run: Run, listed: Mapping[str, str]) -> CaseReport:
    case, missed = run.case, tuple(Mismatch(where, *difference) for where, difference in run.found)
    if not missed and not run.asked and run.not_asked:
        return CaseReport(case.group, case.name, Agreement.SKIPPED, reason=run.not_asked[0])
    reason = listed.get(case.name, "") if missed else "; ".join(dict.fromkeys(run.not_asked))
    agreement = Agreement.PASSED if not missed else Agreement.LISTED if reason else Agreement.FAILED
    return CaseReport(case.group, case.name, agreement, missed, reason, len(run.not_asked))


async def play_all(
    target: Target, cases: Sequence[Case], *, listed: Mapping[str, str], progress: Progress
) -> list[CaseReport]:
    """Play cases one after the other, those that mostly wait beside them where the target allows it."""
    patient = [case for case in cases if case.patience >= _PATIENT] if target.slots else []
    waiting = {
        case.name: asyncio.create_task(play_case(target, case, listed, 1 + number % target.slots))
        for number, case in enumerate(patient)
    }
    reports = []
    try:
        for case in cases:
            task = waiting.get(case.name)
            reports.append(await (task if task is not None else play_case(target, case, listed)))
            progress(reports[-1])
    finally:
        for task in waiting.values():
            task.cancel()
    return reports
