"""From Kubernetes objects to the routing table: pure, and incremental in the number of Ingresses that changed."""
