"""Taking k3s off a host again, and nothing else."""

from __future__ import annotations

from labctl.k3s import layout, render
from labctl.k3s.change import run_script
from labctl.k3s.facts import Facts
from labctl.k3s.preflight import owner_of
from labctl.model.inventory import Inventory
from labctl.ssh.transport import HostError, Transport


def remove(inventory: Inventory, facts: Facts, transport: Transport, *, keep_data: bool, timeout: float) -> bool:
    """Stop k3s and its pods, and remove what `up` put there; False when there was nothing.

    What is run is this version's own script, not the one on the host, which may be older or missing.

    Raises:
        HostError: The k3s there is not this cluster's, or something could not be removed.
    """
    owner = owner_of(facts)
    if not owner and not _traces(facts):
        return False
    if owner and owner != inventory.name:
        raise HostError(
            facts.node,
            f"the k3s there belongs to {owner}: it is left alone",
            hint=f"{layout.UNINSTALL} on the host removes it",
        )
    arguments = "set -- --keep-data\n" if keep_data else ""
    script = (
        f"{arguments}{render.killall_script(inventory).replace('exit 0', '')}\n{render.uninstall_script(inventory)}"
    )
    run_script(transport, script, "removing k3s", timeout=timeout)
    return True


def _traces(facts: Facts) -> bool:
    """What an interrupted installation leaves: the program or a configuration of ours, without a service."""
    ours = (layout.BEFORE, layout.PENDING, layout.KILLALL)
    return any(path in facts.files for path in ours)
