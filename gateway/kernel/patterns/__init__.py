"""Patterns over values, hosts, paths and addresses, as the contract words them.

`compile_…` turns patterns of the file into one predicate; ValueError says what to write instead.
Nothing here does I/O, and no regular expression runs when a request is matched.
"""
