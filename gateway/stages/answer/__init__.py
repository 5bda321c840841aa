"""What the gateway itself says to the client: refusals, and the fields on every answer.

Rule: a refusal names its reason's wire name and what would help, never a rule, an address, a key id or a token's value.
Invariant: whatever of the request stands in an answer is escaped.
"""
