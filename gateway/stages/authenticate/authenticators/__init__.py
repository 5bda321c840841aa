"""Ways to prove who asks: a file each. Their interfaces stand in `evidence`.

Rule: each proves one kind of credential and knows nothing of routes.
Invariant: what it remembers is proof (claims, a chain), never a verdict on a request.
"""
