"""A test double of k3s: its command line and files, labctl's embedded cluster inside. See ../README.md."""
