"""Lifecycle hooks: exec, httpGet, tcpSocket and sleep, run against the container."""

from __future__ import annotations

import asyncio

from labctl.embedded.clientset import Obj
from labctl.embedded.kubelet.handlers import run_handler
from labctl.embedded.kubelet.record import ContainerRecord
from labctl.embedded.kubelet.runtime import ContainerStarter, Host, Sandbox


async def post_start(host: Host, sandbox: Sandbox, record: ContainerRecord) -> bool:
    """Run the postStart hook; whether it succeeded."""
    result = await run_handler(record.spec["lifecycle"]["postStart"], sandbox, record, host.network)
    return result.ok


async def pre_stop(host: Host, starter: ContainerStarter, record: ContainerRecord, grace: float) -> None:
    """Run the preStop hook, at most as long as the grace period; a failure is an event only."""
    handler: Obj = record.spec["lifecycle"]["preStop"]
    try:
        result = await asyncio.wait_for(run_handler(handler, starter.sandbox, record, host.network), grace)
    except TimeoutError:
        return
    if not result.ok:
        starter.event(record, "Warning", "FailedPreStopHook", "PreStopHook failed")
