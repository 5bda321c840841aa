"""`import`: files of Istio and Linkerd into a fragment of routes.yaml.

One table says which kinds are known; every other resource is not carried as a whole.
The fragment holds only what the loader accepts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.convert import linkerd
from gateway.convert.istio import authentication
from gateway.convert.istio.authorization import Authorization
from gateway.convert.istio.destination import Destination
from gateway.convert.manifests import Resource, lose_annotations, resources
from gateway.convert.report import NotCarried, Report
from gateway.convert.scope import Scope

_MAX_NAME = 128


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of it."""

    config: dict[str, object]  # merges into routes.yaml
    not_carried: tuple[NotCarried, ...]
    notes: tuple[str, ...]


def import_files(paths: Sequence[Path], scope: Scope) -> Imported:
    """Raises ConfigUnreadable, or ConfigInvalid for what is no YAML."""
    report = Report()
    work = _Import(scope, report)
    for path in paths:
        for resource in resources(path, report):
            work.add(resource)
    return Imported(work.config(), report.not_carried, report.notes)


class _Import:
    def __init__(self, scope: Scope, report: Report) -> None:
        self._scope = scope
        self._report = report
        self._listeners = authentication.Listeners(scope, report)
        self._issuers: dict[str, object] = {}
        self._upstreams: dict[str, object] = {}
        self._policies: dict[str, object] = {}
        self._kinds: dict[tuple[str, str], Callable[[Resource], None]] = {
            ("security.istio.io", "AuthorizationPolicy"): self._authorization,
            ("security.istio.io", "RequestAuthentication"): self._request_authentication,
            ("security.istio.io", "PeerAuthentication"): self._listeners.add,
            ("networking.istio.io", "DestinationRule"): self._destination,
            ("policy.linkerd.io", "Server"): self._server,
            ("policy.linkerd.io", "ServerAuthorization"): self._server_authorization,
        }

    def add(self, resource: Resource) -> None:
        """Carry one resource."""
        carry = self._kinds.get((resource.group, resource.kind))
        if carry is None:
            group = f" of {resource.group}" if resource.group else ""
            resource.fields.lose_all(f"{resource.kind}{group} is no kind that is imported")
            return
        carry(resource)
        resource.fields.take("spec")
        resource.fields.rest()
        lose_annotations(resource)

    def config(self) -> dict[str, object]:
        """The fragment, in the order of the contract; a section that would be empty is left out."""
        sections: dict[str, object] = {
            "listeners": self._listeners.config(),
            "issuers": self._issuers,
            "upstreams": self._upstreams,
            "policies": list(self._policies.values()),
        }
        return {key: section for key, section in sections.items() if section}

    def _authorization(self, resource: Resource) -> None:
        self._report.note(
            "AuthorizationPolicy: Istio allows what no ALLOW policy speaks of; here there is no default allow: "
            "without a matching allow a route denies"
        )
        self._policy(resource, Authorization(resource, self._scope).carry())

    def _server(self, resource: Resource) -> None:
        linkerd.carry_server(resource, self._scope)

    def _server_authorization(self, resource: Resource) -> None:
        self._policy(resource, linkerd.carry_authorization(resource, self._scope))

    def _policy(self, resource: Resource, policy: dict[str, object] | None) -> None:
        if policy is not None:
            name = _free(resource, resource.name, self._policies)
            self._policies[name] = {"name": name, **policy}

    def _request_authentication(self, resource: Resource) -> None:
        for name, issuer in authentication.carry_request(resource, self._scope).items():
            url = str(issuer["issuer"])
            rival = next((held for held in self._issuers.values() if _confusable(url, held)), None)
            if rival is not None:
                resource.fields.lose_all(
                    f"the issuer {url} is left out: it is the same as another, or one begins with the other"
                )
            else:
                self._issuers[_free(resource, name, self._issuers)] = issuer

    def _destination(self, resource: Resource) -> None:
        upstream = Destination(resource).carry()
        if upstream is not None:
            self._upstreams[_free(resource, resource.name, self._upstreams)] = upstream


def _free(resource: Resource, name: str, taken: dict[str, object]) -> str:
    """A name that is not taken yet: the resource's own, then with its namespace, then with a number."""
    plain = name.replace("*", "any")[:_MAX_NAME]
    candidates = [plain, f"{resource.namespace or 'default'}.{plain}"[:_MAX_NAME]]
    return next(
        (one for one in candidates if one not in taken),
        f"{plain[: _MAX_NAME - 8]}-{len(taken) + 1}",
    )


def _confusable(url: str, held: object) -> bool:
    """Two issuers of one URL, or of which one is the other plus `/…`, are an error of the file (J21)."""
    other = str(held["issuer"]).rstrip("/") if isinstance(held, dict) else ""
    mine = url.rstrip("/")
    return mine == other or mine.startswith(f"{other}/") or other.startswith(f"{mine}/")
