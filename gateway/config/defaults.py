"""Defaults that hang on the rest of the file, filled in once it is known.

Each has its cause, which `check --print` shows.
"""

from collections.abc import Mapping

from gateway.config import classes
from gateway.config.schema import Config, ListenerTls
from gateway.config.schema.listeners import ClientCertificate
from gateway.config.tree import Path


def client_certificate(config: Config) -> tuple[ClientCertificate, str]:
    """Whether listeners ask for client certificates, and why (contract section 11)."""
    for key in ("trust_domains", "client_authorities"):
        if getattr(config, key):
            return "optional", f"{key} says whose certificates are believed"
    for name, issuer in config.issuers.items():
        if issuer.binding.mtls == "required":
            return "optional", f"the issuer {name} requires bound tokens"
    return "none", "nothing says whose certificates are believed"


def complete(config: Config) -> Config:
    """`config` with these defaults. What is filled in does not count as set."""
    listeners = {
        name: listener.replace(tls=_asking(config, listener.tls)) if listener.tls is not None else listener
        for name, listener in config.listeners.items()
    }
    return config.replace(listeners=listeners)


def causes(config: Config) -> Mapping[Path, str]:
    """Why each of these defaults is what it is, by path."""
    why = client_certificate(config)[1]
    of_listeners: dict[Path, str] = {
        ("listeners", name, "tls", "client_certificate"): why
        for name, listener in config.listeners.items()
        if listener.tls is not None and "client_certificate" not in listener.tls.model_fields_set
    }
    return {**of_listeners, **classes.causes(config)}


def _asking(config: Config, tls: ListenerTls) -> ListenerTls:
    if tls.client_certificate is not None:
        return tls
    filled = tls.replace(client_certificate=client_certificate(config)[0])
    filled.model_fields_set.discard("client_certificate")
    return filled
