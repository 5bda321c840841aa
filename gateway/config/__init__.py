"""routes.yaml: one strict file, read whole, every fault named with its place.

Nothing is guessed and nothing is ignored: a key that is not understood is an error.
A `Config` that exists is valid.
"""
