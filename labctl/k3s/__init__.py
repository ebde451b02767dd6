"""k3s on real hosts: facts → plan → apply; releases, upgrade, removal, snapshots."""
