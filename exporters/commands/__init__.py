"""The command lines: the only place that knows everyone."""
