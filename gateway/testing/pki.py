"""A folder of keys and certificates, named as routes.yaml and the documentation name them.

Rule: what lies there already is never written over.
Invariant: `Folder.init` leaves everything that the examples refer to, or nothing at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.testing.ca import Authority, Issued
from gateway.testing.keys import PrivateKey, new_key, private_pem, public_pem, write_private

GATEWAY_PATH = "/ns/gateway/sa/gateway"
HOSTS = ("localhost", "127.0.0.1", "::1")


class Exists(Exception):  # noqa: N818 - it is an answer: nothing was written
    """A file that would have been written over."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is there already")
        self.path = path


@dataclass(frozen=True, slots=True)
class Made:
    """A file that was written, and what for."""

    name: str
    what: str


_AUTHORITIES = {
    "cluster-ca": "root of {trust_domain}: signs the SPIFFE ids of workloads, and the gateway's own certificates",
    "partners-ca": "root of {partner_domain}: another organisation's",
    "provider-ca": "root of the identity provider's certificate",
}


class Folder:
    """The folder; `init` fills it once, `issue` adds certificates."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def init(
        self,
        *,
        trust_domain: str = "cluster.local",
        partner_domain: str = "partner.example",
        hosts: Sequence[str] = HOSTS,
        days: int = 90,
    ) -> list[Made]:
        """Make roots, revocation lists, the gateway's certificates and keys. Raises Exists, OSError."""
        names = {"trust_domain": trust_domain, "partner_domain": partner_domain}
        roots = {
            name: Authority(domain, not_after=_in_days(4 * days))
            for name, domain in zip(_AUTHORITIES, (trust_domain, partner_domain, "provider"), strict=True)
        }
        public: dict[str, tuple[bytes, str]] = {}
        private: dict[str, tuple[PrivateKey, str]] = {}
        for name, what in _AUTHORITIES.items():
            public[f"{name}.pem"] = roots[name].pem(), what.format(**names)
            private[f"{name}.key"] = roots[name].key, "its key, for `gateway pki issue`"
        for name in ("cluster", "partners"):
            crl = roots[f"{name}-ca"].crl(next_update=_in_days(days))
            public[f"{name}.crl"] = crl, f"what {name}-ca has revoked: nothing yet"
        edge = _for_hosts(roots["cluster-ca"], hosts, days)
        own = f"spiffe://{trust_domain}{GATEWAY_PATH}"
        identity = roots["cluster-ca"].issue(uri=own, not_after=_in_days(days))
        for name, issued, what in (
            ("edge", edge, f"what clients see: {', '.join(hosts)}"),
            ("gateway", identity, f"what backends see: {own}"),
        ):
            public[f"{name}.pem"] = issued.pem(), what
            private[f"{name}.key"] = issued.key, "its key"
        audit = new_key("ed25519")
        private["audit.key"] = audit, "signs the checkpoints of the audit log"
        public["audit.pub"] = public_pem(audit), "verifies them: `gateway audit verify --key`"
        private["assertion.key"] = new_key(), "signs what the gateway tells backends about the caller"
        return self._write(public, private)

    def authority(self, name: str) -> Authority:
        """A root of the folder, by its file's name without the ending. Raises OSError, ValueError."""
        return Authority.load(self.path / f"{name}.pem", self.path / f"{name}.key")

    def issue(
        self,
        name: str,
        *,
        authority: str = "cluster-ca",
        uri: str | None = None,
        hosts: Sequence[str] = (),
        days: int = 90,
    ) -> Issued:
        """Write NAME.pem and NAME.key, signed by a root of the folder. Raises Exists, OSError, ValueError."""
        for path in (self.path / f"{name}.pem", self.path / f"{name}.key"):
            if path.exists():
                raise Exists(path)
        issued = _for_hosts(self.authority(authority), hosts, days, uri)
        issued.write(self.path, name)
        return issued

    def _write(self, public: dict[str, tuple[bytes, str]], private: dict[str, tuple[PrivateKey, str]]) -> list[Made]:
        for name in (*public, *private):
            if (self.path / name).exists():
                raise Exists(self.path / name)
        self.path.mkdir(parents=True, exist_ok=True)
        for name, (pem, _) in public.items():
            (self.path / name).write_bytes(pem)
        for name, (key, _) in private.items():
            write_private(self.path / name, private_pem(key))
        return [Made(name, what) for name, (_, what) in sorted({**public, **private}.items())]


def _for_hosts(authority: Authority, hosts: Sequence[str], days: int, uri: str | None = None) -> Issued:
    addresses = [host for host in hosts if _is_address(host)]
    names = [host for host in hosts if host not in addresses]
    return authority.issue(uri=uri, dns=names, ips=addresses, not_after=_in_days(days))


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _in_days(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)
