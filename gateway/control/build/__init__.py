"""The config into the stages of a snapshot: a file a stage.

Rule: a builder makes tables and starts nothing; what outlives a snapshot is handed to it.
"""
