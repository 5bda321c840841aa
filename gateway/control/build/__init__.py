"""The config into the stages of a snapshot: a file a stage."""
