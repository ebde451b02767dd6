"""Use cases: the only place that puts features in sequence; prints nothing."""
