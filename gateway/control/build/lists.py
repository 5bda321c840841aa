"""`crl` and `ocsp` of an authority: where its revocation lists lie, what they mean, and who else is asked."""

from pathlib import Path

from gateway.config.schema import Config, Ocsp, RevocationLists
from gateway.control.feeds.lists import ListSettings
from gateway.kernel.x509.crl import BY_FILE, ListRules
from gateway.kernel.x509.ocsp import StatusRules


def list_settings(config: Config, lists: RevocationLists | None) -> ListSettings | None:
    """What fetches them; None where they lie in a file."""
    if lists is None or lists.url is None:
        return None
    return ListSettings(lists.url, lists.ca, lists.refresh, config.state_dir)


def list_file(config: Config, lists: RevocationLists | None) -> Path | None:
    """The file that holds them: the operator's, or the one that they are fetched into, which may not be there yet."""
    fetched = list_settings(config, lists)
    if fetched is not None:
        return fetched.path
    return lists.file if lists is not None else None


def list_rules(lists: RevocationLists | None) -> ListRules:
    """What they mean."""
    if lists is None:
        return BY_FILE
    return ListRules(required=lists.on_failure == "deny", leaf=lists.check == "leaf", fetched=lists.url is not None)


def status_rules(asked: Ocsp | None) -> StatusRules | None:
    """How certificates are asked about; None where they are not."""
    if asked is None:
        return None
    return StatusRules(
        asked.responder,
        tuple(host.lower() for host in asked.hosts),
        asked.ca,
        asked.refresh,
        asked.max_stale,
        required=asked.on_failure == "deny",
        leaf=asked.check == "leaf",
        nonce=asked.nonce == "required",
    )
