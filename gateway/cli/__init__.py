"""The `gateway` program: a file per command.

A command answers by its exit code: 0 yes, 1 no, 2 cannot tell.
With --json standard output is exactly one JSON document; what is meant for people goes to standard error.
"""
