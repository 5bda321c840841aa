"""What several need and none owns.

Rule: a part knows the nouns at most: no stage, no config, no other part of the kernel.
Invariant: a helper exists once; Redis has its only door here.
"""
