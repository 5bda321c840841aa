"""Chaos: one thing after another breaks under light load, and what may never happen is looked for.

`python -m loadtest.chaos`, or `make chaos`.
"""
