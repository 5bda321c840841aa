"""TODO(owner): three lines: what, rule, invariant."""
