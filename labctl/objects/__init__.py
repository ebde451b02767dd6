"""Kubernetes knowledge without a client: manifests, apply order, readiness, kubeconfig."""
