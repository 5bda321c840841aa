"""The house's own checks, run by make and CI; nothing of it is shipped."""
