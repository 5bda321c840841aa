"""Proofs: what the gateway promises under load, measured, each figure beside its bound.

`python -m loadtest.proofs`, or `make prove`. Calm and troubled figures of one proof are taken in one run, by a client
with an open loop in a process of its own; the gateway is on one core, all else on the other.
"""
