"""Linkerd's Server and ServerAuthorization into `policies`.

A Server selects a port of some workloads, which routes stand for here; a ServerAuthorization becomes an ALLOW policy.
Whatever is lost on the way, the result never allows more than the original did.
"""

from gateway.convert.fields import Fields
from gateway.convert.istio import clauses
from gateway.convert.manifests import Resource
from gateway.convert.scope import Scope
from gateway.stages.authorize.attributes import compile_principals

_IDENTITY = "serviceaccount.identity.linkerd.cluster.local"


def carry_server(resource: Resource, scope: Scope) -> None:
    """A Server selects; nothing is written for it."""
    spec = resource.spec()
    scope.selectors(spec, "podSelector", "externalWorkloadSelector", "port")
    if "proxyProtocol" in spec:
        spec.lose("proxyProtocol", "what is spoken is the listener's to say: write `protocols` there")
    if spec.raw("accessPolicy") not in (None, "deny"):
        spec.lose("accessPolicy", "there is no default but to deny: write an `allow` for what it lets through")
    spec.rest()
    resource.fields.report.note(
        "Linkerd: what no Server selects follows the default inbound policy there, often all-unauthenticated; "
        "here a route without a matching allow is denied"
    )


def carry_authorization(resource: Resource, scope: Scope) -> dict[str, object] | None:
    """The policy of a ServerAuthorization without its name, or None where nothing is left of it."""
    spec = resource.spec()
    scope.selectors(spec, "server")
    client = spec.fields("client")
    lost = spec.rest()
    sources = _sources(client) if client is not None else None
    if sources is None or lost:
        spec.lose_all("the authorization is left out: nothing that it could match, or not all that it asks, is left")
        return None
    rule: dict[str, object] = {"from": sources[0] if len(sources) == 1 else sources} if sources else {}
    return {"action": "allow", "routes": scope.routes(), "rules": [rule]}


def _sources(client: Fields) -> list[dict[str, object]] | None:
    """What stands under `from`; [] asks nothing, None matches nothing."""
    networks = _networks(client)
    anyone = client.raw("unauthenticated") is True
    principals: list[str] | None = None
    mesh = client.fields("meshTLS")
    if mesh is not None:
        principals = _principals(mesh)
    if client.rest() or networks is None:
        return None
    if anyone:
        client.report.note(
            f"{client.resource}: unauthenticated clients are allowed; here a route answers callers without a "
            "credential 401 unless it is `public: true`"
        )
        return networks
    if not principals:
        if mesh is None:
            client.lose_all("it names no client: unauthenticated or meshTLS is wanted")
        return None
    return [{"principals": principals, **network} for network in networks or [{}]]


def _networks(client: Fields) -> list[dict[str, object]] | None:
    """An entry for each network; [] without any, None where one is lost that nothing else stands for."""
    if "networks" not in client:
        return []
    written = client.each("networks")
    if not written:
        if written is not None:
            client.lose("networks", "an empty list: leave it out, or write a network")
        return None
    found: list[dict[str, object]] = []
    for fields in written:
        network = _network(fields)
        if network is not None:
            found.append(network)
    return found or None


def _network(fields: Fields) -> dict[str, object] | None:
    cidr = fields.text("cidr")
    if "cidr" not in fields:
        fields.lose_all("a cidr is wanted")
    excluded = fields.items("except") if "except" in fields else []
    if fields.rest() or cidr is None or excluded is None:
        return None
    try:
        network: dict[str, object] = {"ip_blocks": list(clauses.block(cidr))}
        if excluded:
            network["not_ip_blocks"] = [block for item in excluded for block in clauses.block(item.value)]
    except ValueError as why:
        fields.lose_all(str(why))
        return None
    return network


def _principals(mesh: Fields) -> list[str]:
    found: list[str] = []
    for item in mesh.items("identities") or [] if "identities" in mesh else []:
        try:
            found.append(_identity(item.value))
        except ValueError as why:
            mesh.report.lose(item.where, mesh.resource, item.path, str(why))
    for account in mesh.each("serviceAccounts") or [] if "serviceAccounts" in mesh else []:
        name, namespace = account.text("name"), account.text("namespace")
        if account.rest() or name is None or namespace is None:
            account.lose_all("a name and a namespace are wanted: write `namespace` out")
            continue
        found.append(f"dns:{name}.{namespace}.{_IDENTITY}")
        mesh.report.note(
            f"Linkerd's service accounts are read as dns:NAME.NAMESPACE.{_IDENTITY}: "
            "write your trust domain where it is another"
        )
    if mesh.raw("unauthenticatedTLS") is True:
        mesh.lose("unauthenticatedTLS", "a client without a certificate has no identity: see `public: true`")
    mesh.rest()
    return list(dict.fromkeys(found))


def _identity(value: str) -> str:
    """Linkerd's identities are DNS names of certificates, `*.` before one is every name below it."""
    whole = value if value.startswith(("*", "spiffe://")) else f"dns:{value}"
    compile_principals([whole])
    return whole
