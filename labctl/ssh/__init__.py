"""SSH: connections, host keys, sudo, files and fan-out over hosts."""
