"""labctl builds a k3s + ingress-nginx lab cluster, runs the routing labs and judges what was seen."""

__version__ = "0.1.0"
