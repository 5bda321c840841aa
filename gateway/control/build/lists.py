"""`crl` of an authority into where its revocation lists lie, and what they mean."""

from pathlib import Path

from gateway.config.schema import Config, RevocationLists
from gateway.control.feeds.lists import ListSettings
from gateway.kernel.x509.crl import BY_FILE, ListRules


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
