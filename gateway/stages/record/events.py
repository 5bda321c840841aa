"""Records that no request makes: a config, an admin call, a refused handshake.

Who can be made to cause them by a stranger (a handshake, an admin call without the token) is bounded like a refusal.
"""

from gateway.model.json import JSON
from gateway.stages.record.log import AuditLog
from gateway.stages.record.text import json_text, quote, quote_or_null


def record_config(
    log: AuditLog, *, digest: str, ok: bool, errors: int = 0, inputs: JSON = None, grants: JSON = None
) -> None:
    """A start, a reload, or other grants. `digest` is that of the file that was read; it is at work only when `ok`.

    `inputs`: by route, the names that the records of its decisions show where they are there, so that whoever reads
    the log can tell what was absent from what was not asked for. `grants`: who granted what, until when and why.
    """
    result = "success" if ok else "failure"
    shown = "" if inputs is None else f',"inputs":{json_text(inputs)}'
    shown += "" if grants is None else f',"grants":{json_text(grants)}'
    log.queue("config", f',"result":"{result}","config":{quote(digest)},"errors":{errors}{shown}')


def record_admin(log: AuditLog, *, action: str, status: int, client: str, subject: str | None = None) -> None:
    """A call of the admin address, or a logout or event that an issuer sent, and what it was answered.

    `subject`: whom an event is about.
    """
    members = f',"action":{quote(action)},"status":{status},"client_ip":{quote(client)}'
    if subject is not None:
        members += f',"subject":{quote(subject)}'
    if status < 400 or log.admits("admin", str(status)):
        log.queue("admin", members)


def record_store(log: AuditLog, *, store: str, up: bool, trouble: str) -> None:
    """The limit store came or went: until the next such record of this stream limits are judged as they are then."""
    members = f',"store":{quote(store)},"state":"{"up" if up else "down"}","detail":{quote(trouble)}'
    log.queue("store", members)


def record_handshake(
    log: AuditLog,
    *,
    listener: str,
    client: str,
    reason: str,
    sni: str | None,
    detail: str = "",
    certificate: str | None = None,
) -> None:
    """A TLS handshake that was refused. `reason` is of a closed set of ours; `certificate`: whose it claimed to be."""
    if log.admits("handshake", reason):
        members = f',"listener":{quote(listener)},"client_ip":{quote(client)},"sni":{quote_or_null(sni)}'
        members += f',"certificate":{quote_or_null(certificate)}'
        log.queue("handshake", f'{members},"reason":{quote(reason)},"detail":{quote(detail)}')
