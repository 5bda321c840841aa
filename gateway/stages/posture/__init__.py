"""What is known of the caller's device."""
