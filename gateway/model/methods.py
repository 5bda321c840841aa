"""The request methods that the HTTP parser knows (llhttp); every other one is a bad request and an error in a file."""

_COMMON = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
_WEBDAV = {"ACL", "BIND", "COPY", "LOCK", "MKCALENDAR", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH", "REBIND", "REPORT"}
_WEBDAV |= {"SEARCH", "UNBIND", "UNLOCK", "CHECKOUT", "MERGE", "MKACTIVITY"}
_OTHERS = {"LINK", "M-SEARCH", "NOTIFY", "PURGE", "SOURCE", "SUBSCRIBE", "UNLINK", "UNSUBSCRIBE"}

KNOWN_METHODS = frozenset(_COMMON | _WEBDAV | _OTHERS)
NOT_IN_ANY = frozenset({"TRACE", "CONNECT"})  # what `*` does not mean: nothing behind the gateway should answer them
