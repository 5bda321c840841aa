"""Throwaway peers for tests and the demo: authority, issuer, provider, backend, processes.

Rule: what is asked for without changes is right; each way to be hostile is named.
Invariant: nothing here is imported by what serves, and nothing outlives the one who made it.
"""
