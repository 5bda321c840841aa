"""From a config to a gateway at work: built, fed, watched, replaced.

Rule: everything is read, built and checked before it is swapped in.
Invariant: what fails changes nothing; the last good one serves on.
"""
