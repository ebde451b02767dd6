"""Where clusters come from; each yields a Cluster."""
