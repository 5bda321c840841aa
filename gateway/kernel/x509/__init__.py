"""Certificates as identities: SPIFFE ids, leafs, bundles, revocation lists, and the judging of a chain.

Rule: an identity is read from the DER alone, and a chain is judged against the one bundle that its identity names.
Invariant: nothing here trusts because TLS did; a chain is judged the same whether its session was resumed or not.
"""
