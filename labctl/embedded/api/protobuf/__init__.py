"""Request bodies in protobuf, which typed clients of Kubernetes 1.32 and newer send."""
