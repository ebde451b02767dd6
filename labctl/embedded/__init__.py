"""The embedded cluster: a Kubernetes in one process, on loopback addresses."""
