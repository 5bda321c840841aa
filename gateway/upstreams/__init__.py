"""The way to the backends: own transport, pools, identities.

Rule: a backend is verified inside the handshake, before a byte of a request leaves.
Invariant: a connection carries one request at a time, and returns to its pool only when its answer is whole.
"""
