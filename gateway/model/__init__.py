"""The nouns of a request.

Frozen, slotted, no I/O, no clock, and nothing else of ours is imported here.
A stage takes nouns and gives a fresh one; nobody changes one that exists.
"""
