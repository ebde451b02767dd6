"""Test hosts: small Debian servers with systemd and sshd, made on this machine, in a network of their own."""
