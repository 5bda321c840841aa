"""What speaks to clients: TLS, HTTP/1.1 and connections, on uvicorn's server.

Rule: all that a client can get wrong or hold up is judged here, before there is an exchange to decide about.
Invariant: what leaves here has one reading: one target, one host, one length.
"""
