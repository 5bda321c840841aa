"""What changes while the gateway serves: keys, bundles, revocation lists. Fetch, check, publish, keep the last good.

Rule: what was fetched or read is checked whole before it is published, and published whole.
Invariant: a feed that fails keeps its last good value, says so once, and tries again by itself.
"""
