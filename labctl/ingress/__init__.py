"""ingress-nginx: Helm values, objects, installation."""
