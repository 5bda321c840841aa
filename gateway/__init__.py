"""A zero-trust API gateway. ARCHITECTURE.md has the map; `pipeline.py` has the path of a request."""

__version__ = "0.1.0"
