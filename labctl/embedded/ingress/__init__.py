"""ingress-nginx: a pure compiler from objects to a routing table, and the proxy that executes it."""
