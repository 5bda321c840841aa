"""What issuers tell besides tokens: logouts and security events, each a signed token of its own type (RFC 8417).

Rule: judged as strictly as an access token, by the same keys; a module here for each kind of message.
"""
