"""Acts on a permit: sends the request on, or answers for the route itself.

Rule: what a backend is told about the caller comes from the permit; what the caller said about itself is removed.
Invariant: the path that was judged is the path that is sent.
"""
