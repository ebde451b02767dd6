"""HTTP/1.1 for the embedded cluster: one parser and one server for the API, the pods and the ingress."""
