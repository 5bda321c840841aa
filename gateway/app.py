"""TODO(owner)."""
