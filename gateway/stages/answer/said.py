"""What refusals of one kind have in common: all but the request id and what is left under limits.

Rule: it hangs on the refusal and on the form that the client asked for, never on a request. Clients choose the form,
and wait times may be many: what is kept of all this is bounded, and costs little to make again.
Invariant: no line of it holds a line end.
"""

from gateway.kernel.breaks import breaks
from gateway.model.outcome import Outcome
from gateway.model.refused import Refused
from gateway.model.request import Form, RawHeaders, RequestHead
from gateway.stages.answer import documents
from gateway.stages.answer.documents import Parts

ID = 32  # characters of our own request ids, hex: no form escapes any of it


class Said:
    """Of one kind."""

    __slots__ = ("fields", "form", "length", "lines", "outcome", "parts", "size", "status", "taken")

    def __init__(self, refused: Refused, form: str, own: RawHeaders) -> None:
        """`own`: the fields that the refusal itself asks for."""
        reason = refused.reason
        self.form = form
        self.status = reason.status
        self.parts: Parts = (b"",)
        if form == "grpc":
            self.status = 200
            own = [*own, (b"content-type", documents.GRPC_TYPE), *documents.grpc_fields(refused)]
        elif form == "html":
            self.parts = documents.page_parts(refused)
            own = [
                *own,
                (b"content-type", documents.HTML_TYPE),
                (b"content-security-policy", b"default-src 'none'"),
            ]
        else:
            self.parts = documents.problem_parts(refused)
            own = [*own, (b"content-type", documents.JSON_TYPE)]
        self.fields = own  # but for the length
        self.lines = b"".join([b"%b: %b\r\n" % field for field in own])
        if breaks(self.lines) != 2 * len(own):
            raise ValueError("a field of a refusal holds a line end or NUL")
        self.size = size = sum(map(len, self.parts)) + ID * (len(self.parts) - 1)
        self.length = b"content-length: %d\r\n" % size  # with an id of our own
        self.taken = [*own, (b"content-length", b"%d" % size)]
        self.outcome = Outcome(self.status, None, None, 0, size, reason)


def form_of(head: RequestHead) -> Form:
    """How the client of this head is answered; kept with its section, where one looks for it first."""
    fields = dict(head.headers)  # of repeated ones the last: what is there at all
    form = "json"
    if b"content-type" in fields and _is_grpc(head):
        form = "grpc"
    elif b"accept" in fields and documents.prefers_html(_accept(head)):
        form = "html"
    found = form, b"authorization" in fields and _is_dpop(head)
    if head.section is not None:
        head.section.form = found
    return found


def _accept(head: RequestHead) -> str:
    return ",".join([value.decode("latin-1") for name, value in head.headers if name == b"accept"])


def _is_dpop(head: RequestHead) -> bool:
    """True when a token came under the DPoP scheme (RFC 9449 section 7.1)."""
    return any(name == b"authorization" and value[:5].lower() == b"dpop " for name, value in head.headers)


def _is_grpc(head: RequestHead) -> bool:
    """By its content type: `application/grpc`, or that with `+` or `;` behind it; grpc-web is another protocol."""
    for name, value in head.headers:
        if name == b"content-type":
            media = value.split(b";", 1)[0].strip().lower()
            return media == documents.GRPC_TYPE or media.startswith(documents.GRPC_TYPE + b"+")
    return False
