"""kube-proxy and the pod network on loopback sockets."""
