"""Other products' formats in and out: Istio and Linkerd in, Envoy out.

Rule: what has no equal is said with its place, never dropped in silence, and never makes anything wider.
Invariant: configuration becomes configuration; nothing here looks at a running gateway.
"""
