"""Each error of contract section 2 with its exact place and words."""

from pathlib import Path

import pytest

from gateway.kernel.store.address import SCHEMES
from tests.config.sample import changed, judged

ROUTE = "    upstream: inventory\n"
ALLOW = '{from: {request_principals: ["*"]}, to: {methods: [GET]}}'
ISSUER = "issuer: "
TOP = "upstreams:"
SECRET = "introspection: {client_id: a, client_secret: s}"
TLS = "tls: {certificate: certs/edge.pem, key: certs/edge.key}"


def top(text: str) -> list[tuple[str, str]]:
    return [(TOP, f"{text}\nupstreams:")]


def route(text: str) -> list[tuple[str, str]]:
    return [(ROUTE, f"{ROUTE}    {text}\n")]


def rule(text: str) -> list[tuple[str, str]]:
    return [(ALLOW, text)]


def introspecting(text: str) -> list[tuple[str, str]]:
    return [("audiences:", f"introspection: {{{text}}}, audiences:")]


def endpoint(text: str) -> list[tuple[str, str]]:
    return [("https://inventory.internal:8443", text)]


UPSTREAM = "endpoints:"


def upstream(text: str) -> list[tuple[str, str]]:
    return [(UPSTREAM, f"{text}, {UPSTREAM}")]


CASES = [
    # balancing, health, retries, weights
    pytest.param(
        upstream("balance: round_robbin"),
        ["7:24 round_robin, least_request, random or consistent_hash is wanted (did you mean round_robin?)"],
        id="unknown-balancer",
    ),
    pytest.param(
        upstream("balance: consistent_hash"),
        ["7:24 consistent_hash goes by a key (add key: header:NAME, claim:NAME or client_ip)"],
        id="hash-without-a-key",
    ),
    pytest.param(
        upstream("balance: {policy: consistent_hash, key: cookie:a}"),
        ["7:55 'cookie:a' is no key: write header:NAME, claim:NAME or client_ip"],
        id="hash-by-another-key",
    ),
    pytest.param(
        upstream("balance: {policy: random, key: client_ip}"),
        ["7:41 random goes by no key (write policy: consistent_hash)"],
        id="key-without-hash",
    ),
    pytest.param(
        upstream('retries: {on: [connect_failure, "200"]}'),
        [("7:47 '200' is nothing to retry on: write connect_failure, refused_stream, reset or a status like \"503\"")],
        id="retry-on-success",
    ),
    pytest.param(
        upstream("retries: {on: [503]}"), ['7:30 a text is wanted: write "503" in quotes'], id="retry-on-a-number"
    ),
    pytest.param(
        upstream("retries: {budget: 20}"), ['7:33 a text is wanted: write "20" in quotes'], id="budget-without-percent"
    ),
    pytest.param(
        upstream("retries: {budget: 101%}"),
        ["7:33 '101%' is not a part: write a whole number and %, like 10% or 100%"],
        id="more-than-all",
    ),
    pytest.param(upstream("retries: {attempts: 0}"), ["7:35 at least 1 is wanted"], id="no-attempt"),
    pytest.param(
        upstream("health_check: {path: healthz}"),
        ["7:36 'healthz' is no path: write one that begins with /, percent-encoded where it is not plain"],
        id="health-path",
    ),
    pytest.param(upstream("health_check: {interval: 1s}"), ["7:29 'path' is missing"], id="health-without-a-path"),
    pytest.param(upstream("dns: {refresh: 0s}"), ["7:30 more than 0 is wanted"], id="dns-refresh"),
    pytest.param(
        [(ROUTE, "    upstream: [inventory, {upstream: inventory, weight: 2}]\n")],
        ["11:38 'inventory' stands twice (add up the weights)"],
        id="an-upstream-twice",
    ),
    pytest.param(
        [(ROUTE, "    upstream: [{upstream: inventory, weight: 0}]\n")],
        ["11:15 every weight is 0: no request would go anywhere"],
        id="no-weight",
    ),
    pytest.param(
        [(ROUTE, "    upstream: [{upstream: inventori, weight: 1}]\n")],
        ["11:27 'inventori' is none of upstreams (did you mean 'inventory'?)"],
        id="a-weighted-upstream-that-is-none",
    ),
    pytest.param(
        route("mirror: {upstream: nowhere, percent: 10%}"),
        ["12:24 'nowhere' is none of upstreams"],
        id="mirror-to-nowhere",
    ),
    pytest.param(
        [(ROUTE, "    respond: {status: 200}\n    mirror: {upstream: inventory}\n")],
        ["12:5 only requests to an upstream are mirrored"],
        id="mirror-without-an-upstream",
    ),
    # keys
    pytest.param([("version: 1\n", "")], ["1:1 'version' is missing"], id="no-version"),
    pytest.param(
        [("version: 1", "version: 2")], ["1:10 this build reads version 1 (write version: 1)"], id="another-version"
    ),
    pytest.param(
        [("version: 1", 'version: "1"')], ["1:10 this build reads version 1 (write version: 1)"], id="version-a-text"
    ),
    pytest.param([(TOP, "upstream:")], ["6:1 unknown key 'upstream' (did you mean 'upstreams'?)"], id="unknown-key"),
    pytest.param(
        [("audiences:", "audience:")],
        ["5:62 unknown key 'audience' (did you mean 'audiences'?)"],
        id="unknown-nested-key",
    ),
    pytest.param(
        [("address:", "zzz: 1, address:")],
        [
            (
                "3:10 unknown key 'zzz' (known here: address, tls, redirect, acme, protocols, paths, "
                "trusted_proxies, proxy_protocol, limits, "
                "rate_limits, on_failed_authentication)"
            )
        ],
        id="unknown-key-unlike-any",
    ),
    pytest.param(route("upstream: inventory"), ["12:5 'upstream' stands twice: first in line 11"], id="repeated-key"),
    pytest.param(
        [(ROUTE, "    upstream:\n")], ["11:5 nothing stands behind 'upstream': remove it or write a value"], id="null"
    ),
    pytest.param(rule("{form: {}}"), ["13:10 unknown key 'form' (did you mean 'from'?)"], id="unknown-key-of-a-rule"),
    pytest.param(
        rule("{when: [{key: source.ip, valuse: [10.0.0.1]}]}"),
        ["13:34 unknown key 'valuse' (did you mean 'values'?)"],
        id="unknown-key-of-a-condition",
    ),
    pytest.param(
        [("listeners:\n", "listeners:\n  a*: {address: 127.0.0.1:1}\n")],
        ["3:3 a name has at most 128 printable characters and no *"],
        id="a-name-with-a-star",
    ),
    # types
    pytest.param(
        top("workers: 0777"),
        ["6:10 0777 is an octal number to some and a decimal one to others: write 777 or 0o…"],
        id="octal",
    ),
    pytest.param(
        top("workers: 1:30"),
        ["6:10 1:30 is a number in base 60 to some: write a plain number, or quote it where a text is wanted"],
        id="base-60",
    ),
    pytest.param(top("workers: on"), ["6:10 a whole number is wanted"], id="number-wanted"),
    pytest.param(top("workers: true"), ["6:10 a whole number is wanted"], id="boolean-is-no-number"),
    pytest.param(top("workers: 1.0"), ["6:10 a whole number is wanted"], id="fraction"),
    pytest.param(top("workers: 0"), ["6:10 at least 1 is wanted"], id="too-small"),
    pytest.param(top("log: text"), ["6:6 a mapping is wanted"], id="mapping-wanted"),
    pytest.param([("[api-service]", "api-service")], ["5:73 a list is wanted: write [VALUE]"], id="list-wanted"),
    pytest.param([("[api-service]", "[80]")], ['5:74 a text is wanted: write "80" in quotes'], id="text-wanted"),
    pytest.param([("[api-service]", "[[a]]")], ["5:74 a text is wanted, not a list"], id="text-wanted-not-list"),
    pytest.param(
        [("[api-service]", "[]")], ["5:73 nothing stands in it: remove the key or name something"], id="empty-list"
    ),
    pytest.param([("api-service", '""')], ["5:74 an empty text: remove the key or write a value"], id="empty-text"),
    pytest.param(route("public: yes"), ["12:13 yes is a text in YAML 1.2: write true"], id="yes"),
    pytest.param(route("public: off"), ["12:13 off is a text in YAML 1.2: write false"], id="off"),
    pytest.param(route("timeout: 5"), ["12:14 5 of what? Write a unit, like 5s or 5ms"], id="duration-without-unit"),
    pytest.param(
        route("timeout: 5sec"),
        ["12:14 '5sec' is not a duration: write one number and one unit, like 300ms, 5s, 10m or 24h"],
        id="no-duration",
    ),
    pytest.param(
        route("max_body: 10MB"),
        ["12:15 '10MB' is not a size: write one number and one unit, like 64KiB, 10MiB or 512B"],
        id="no-size",
    ),
    pytest.param(
        [(TLS, TLS.replace("{", "{min_version: 1.3, "))],
        ['3:54 1.2 or 1.3 is wanted (write "1.3" in quotes)'],
        id="tls-1.3",
    ),
    pytest.param(
        [(TLS, TLS.replace("{", "{client_certificate: optionl, "))],
        ["3:61 none, optional or required is wanted (did you mean optional?)"],
        id="choice",
    ),
    # listeners
    pytest.param(
        [(f", {TLS}", "")],
        [
            (
                "3:19 the listener edge has no tls and can be reached from other machines (add tls, or "
                "redirect: https, or "
                "listen on 127.0.0.1)"
            )
        ],
        id="plain-listener",
    ),
    pytest.param(
        [(TLS, f"{TLS}, redirect: https")],
        ["3:92 a listener with tls cannot redirect to https (remove one of them)"],
        id="redirect-with-tls",
    ),
    pytest.param([(", key: certs/edge.key", "")], ["3:40 'key' is missing"], id="tls-without-key"),
    pytest.param(
        [("certificate: certs/edge.pem, ", "")], ["3:40 'certificate' is missing"], id="tls-without-certificate"
    ),
    pytest.param([(TLS, "tls: {}")], ["3:40 tls needs certificate and key"], id="empty-tls"),
    pytest.param(
        [("certs/edge.key", "certs/edge.key, certificates: [{certificate: certs/edge.pem, key: certs/edge.key}]")],
        ["3:91 certificate and key stand beside certificates (write one of both)"],
        id="both-forms-of-certificates",
    ),
    pytest.param(
        [("certs/edge.key", "certs/none.key")],
        ["3:75 cannot read certs/none.key: no such file or directory"],
        id="no-key-file",
    ),
    pytest.param(
        [("certs/edge.key", "certs/gateway.key")],
        ["3:75 certs/gateway.key is not the key of certs/edge.pem"],
        id="wrong-key",
    ),
    pytest.param(
        [("certs/edge.key", "certs/edge.pem")],
        ["3:75 certs/edge.pem holds no private key in PEM without a password"],
        id="certificate-for-a-key",
    ),
    pytest.param(
        [("certs/edge.pem", "empty.pem")],
        ["3:54 empty.pem: no PEM certificate (-----BEGIN CERTIFICATE-----) stands in it"],
        id="empty-certificate",
    ),
    pytest.param(
        [("listeners:\n", 'listeners:\n  b: {address: "127.0.0.1:8443"}\n')],
        ["4:19 0.0.0.0:8443 is taken by the listener b (each has an address of its own)"],
        id="two-listeners-of-one-address",
    ),
    pytest.param(
        top('admin: {address: "127.0.0.1:8443"}'),
        ["6:18 127.0.0.1:8443 is taken by the listener edge (each has an address of its own)"],
        id="admin-on-a-listener",
    ),
    pytest.param(
        [("0.0.0.0:8443", "8443")],
        ["3:19 '8443' is not an address: write HOST:PORT, like 0.0.0.0:8443 or [::1]:8443"],
        id="no-address",
    ),
    pytest.param(
        [(TLS, TLS.replace("{", "{client_certificate: required, "))],
        [
            (
                "3:61 client certificates are required, and nothing says whose are believed (add trust_domains or "
                "client_authorities)"
            )
        ],
        id="required-of-nobody",
    ),
    pytest.param(
        [(TLS, f"{TLS}, trusted_proxies: [10.0.0.1/8]")],
        ['3:110 "10.0.0.1/8" has bits set behind its prefix: write "10.0.0.0/8" or "10.0.0.1"'],
        id="bits-behind-prefix",
    ),
    pytest.param(
        [(TLS, f"{TLS}, on_failed_authentication: a"), *top("rate_limits: {a: {rate: 5/minute, key: [principal]}}")],
        ["3:118 failed credentials are charged to the address: a needs key: [client_ip]"],
        id="failures-charged-to-nobody",
    ),
    # trust
    pytest.param(
        top("trust_domains: {Cluster.local: {bundle: certs/cluster-ca.pem}}"),
        ["6:17 'Cluster.local': a trust domain holds only lower-case letters, digits, dots, dashes and underscores"],
        id="trust-domain-name",
    ),
    pytest.param(
        top("trust_domains: {a: {bundle: none.pem, crl: none.crl}}"),
        [
            "6:29 cannot read none.pem: no such file or directory",
            "6:44 cannot read none.crl: no such file or directory",
        ],
        id="no-bundle-no-crl",
    ),
    pytest.param(
        top("trust_domains: {a: {bundle: broken.pem}}"),
        ["6:29 broken.pem: a certificate in it cannot be read: is the file whole?"],
        id="broken-bundle",
    ),
    pytest.param(
        top('client_authorities: {p: {bundle: certs/partners-ca.pem, names: ["*"]}}'),
        ["6:65 '*': write a DNS name, or *.suffix for those below it"],
        id="authority-over-everything",
    ),
    # issuers
    pytest.param([(", audiences: [api-service]", "")], ["5:9 'audiences' is missing"], id="issuer-without-audiences"),
    pytest.param(
        [("https://auth", "http://auth")],
        [
            (
                "5:18 'http://auth.example.com/realms/internal' is not protected on its way: write https:// "
                "(http:// only to "
                "loopback)"
            )
        ],
        id="K1-http-issuer",
    ),
    pytest.param(
        [("audiences:", 'jwks_uri: "http://auth.example.com/keys", audiences:')],
        ["5:72 'http://auth.example.com/keys' is not protected on its way: write https:// (http:// only to loopback)"],
        id="K1-http-key-set",
    ),
    pytest.param(
        [("https://auth.example.com/realms/internal", "https://169.254.169.254/x")],
        ["5:18 169.254.169.254 is a link-local address: the gateway never connects there"],
        id="K2-metadata-issuer",
    ),
    pytest.param(
        [("issuers:\n", 'issuers:\n  b: {issuer: "https://auth.example.com/realms/internal", audiences: [x]}\n')],
        ["6:18 the issuer b has this URL already (two issuers never share one)"],
        id="two-issuers-of-one-url",
    ),
    pytest.param(
        [("issuers:\n", 'issuers:\n  b: {issuer: "https://auth.example.com/realms", audiences: [x]}\n')],
        ["6:18 one of this URL and that of the issuer b begins with the other (a rule could confuse them)"],
        id="issuer-below-another",
    ),
    pytest.param(
        [("issuers:\n", 'issuers:\n  b: {issuer: "https://auth.example.com/realms/internal/x", audiences: [x]}\n')],
        ["6:18 one of this URL and that of the issuer b begins with the other (a rule could confuse them)"],
        id="issuer-above-another",
    ),
    pytest.param(
        [("audiences:", "jwks: none.json, audiences:")],
        ["5:68 cannot read none.json: no such file or directory"],
        id="no-key-set",
    ),
    pytest.param(
        [("audiences:", "jwks: nokeys.json, audiences:")],
        ['5:68 nokeys.json is no key set: write {"keys": [...]} with at least one key (RFC 7517)'],
        id="empty-key-set",
    ),
    pytest.param(
        [("audiences:", 'jwks: keys.json, jwks_uri: "https://a.example/k", audiences:')],
        ["5:79 jwks names a file and jwks_uri a URL (write one of both)"],
        id="two-key-sets",
    ),
    pytest.param(
        [("audiences:", "algorithms: [none, HS256], audiences:")],
        [
            "5:75 RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA is wanted",
            (
                "5:81 RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA is wanted (did you "
                "mean RS256?)"
            ),
        ],
        id="J11-none-and-hs256-are-no-algorithms",
    ),
    pytest.param([("audiences:", "clock_skew: 1h, audiences:")], ["5:74 at most 300 is wanted"], id="clock-skew"),
    pytest.param([("audiences:", "dpop_age: 1h, audiences:")], ["5:72 at most 300 is wanted"], id="dpop-age"),
    pytest.param(introspecting("client_secret: s"), ["5:77 'client_id' is missing"], id="introspection-by-nobody"),
    pytest.param(
        introspecting("client_id: a"),
        ["5:77 client_secret_basic needs client_secret (or client_key, or client_certificate and client_key)"],
        id="introspection-without-proof",
    ),
    pytest.param(
        introspecting("client_id: a, client_key: certs/edge.key, client_secret: s"),
        ["5:120 client_secret means nothing to private_key_jwt (remove it, or write auth_method)"],
        id="introspection-by-two-proofs",
    ),
    pytest.param(
        introspecting("client_id: a, client_certificate: certs/edge.pem"),
        ["5:77 tls_client_auth needs client_key"],
        id="introspection-certificate-without-key",
    ),
    pytest.param(
        introspecting("client_id: a, client_certificate: certs/edge.pem, client_key: certs/gateway.key"),
        ["5:112 certs/gateway.key is not the key of certs/edge.pem"],
        id="introspection-key-of-another-certificate",
    ),
    pytest.param(
        introspecting("client_id: a, client_key: empty.pem"),
        ["5:104 empty.pem holds no RSA or EC private key in PEM without a password"],
        id="introspection-no-key",
    ),
    pytest.param(
        introspecting("client_id: a, client_key: nowhere.pem"),
        ["5:104 cannot read nowhere.pem: no such file or directory"],
        id="introspection-absent-key",
    ),
    pytest.param(
        introspecting("client_id: a, client_secret: s, url: http://a.example/i"),
        ["5:115 'http://a.example/i' is not protected on its way: write https:// (http:// only to loopback)"],
        id="introspection-over-plain-http",
    ),
    pytest.param(
        [
            *introspecting("client_id: a, client_secret: s"),
            (
                "issuers:\n",
                "issuers:\n  b: {issuer: https://b.example, audiences: [x], " + SECRET + "}\n",
            ),
        ],
        ["6:62 the issuer b has introspection already (an opaque token does not say whose it is)"],
        id="two-issuers-introspect",
    ),
    pytest.param(
        [("audiences:", 'jwks: "https://a.example/keys", audiences:')],
        ["5:68 jwks names a file: a URL stands under jwks_uri"],
        id="key-set-url-for-a-file",
    ),
    # limits and store
    pytest.param(
        top("rate_limits: {a: {rate: 5/fortnight, key: [foo]}}"),
        [
            "6:25 '5/fortnight' is not a rate: write a count and a period, like 100/minute or 10 per 2 hours",
            (
                "6:44 'foo' is no part of a key: write one of principal, issuer, workload, client_ip, route, upstream, "
                "header:NAME or claim:NAME"
            ),
        ],
        id="no-rate-no-key",
    ),
    pytest.param(
        top("rate_limits: {a: {rate: 5/minute, burst: 9}}"),
        ["6:35 sliding_window has no burst (write algorithm: token_bucket)"],
        id="burst-of-a-window",
    ),
    pytest.param(
        top("rate_limits: {a: {key: []}}"),
        ["6:18 nothing is limited (write a rate, a concurrency, or both)"],
        id="limit-of-nothing",
    ),
    pytest.param(
        top("rate_limits: {a: {rate: '5/minute; 9/day'}}"),
        ["6:25 '5/minute; 9/day' holds several rates: write them as a list, like [10/second, 1000/day]"],
        id="several-rates-in-one",
    ),
    pytest.param(
        top("rate_limits: {a: {rate: [5/minute, 9/minute]}}"),
        ["6:36 9/minute has the period of another rate of this limit"],
        id="two-rates-of-one-period",
    ),
    pytest.param(
        top("rate_limits: {a: {rate: [5/minute, 9/hour], algorithm: token_bucket, burst: 9}}"),
        ["6:70 a burst belongs to one rate (write a limit of its own for each)"],
        id="burst-of-several",
    ),
    pytest.param(
        top("rate_limits: {a: {rate: 5/minute, overrides: [{match: {}, rate: 9/minute}]}}"),
        [
            "6:55 nobody is meant (write one of principals, request_principals, issuers, claims, remote_ip_blocks)",
        ],
        id="override-for-nobody",
    ),
    pytest.param(
        top("rate_limits: {a: {rate: 5/minute, overrides: [{match: {issuers: [b], principals: ['a*b']}}]}}"),
        [
            "6:47 nothing is overridden (write a rate, a concurrency or a burst)",
            "6:66 'b' is none of issuers",
            '6:83 "a*b": one "*" may stand, at the end or at the beginning: write "ab*" or "*ab"',
        ],
        id="override-with-nothing",
    ),
    pytest.param(
        top(
            "rate_limits: {a: {rate: 5/minute, key: [client_ip], overrides: [{match: {claims: {t: x}}, rate: 1/day}]}}"
        ),
        ["6:73 this limit runs before authentication: only remote_ip_blocks can choose there"],
        id="override-by-identity-before-it-is-known",
    ),
    pytest.param(
        [*top("rate_limits: {a: {rate: 5/minute}, b: {concurrency: 2}}"), *route("rate_limits: [{limit: a, cost: 6}]")],
        ["13:36 a never has room for 6: 5 may come at once"],
        id="R1-cost-over-the-burst",
    ),
    pytest.param(
        [*top("rate_limits: {b: {concurrency: 2}}"), *route("rate_limits: [{limit: b, cost: 2}]")],
        ["13:36 b counts requests at once: each is one"],
        id="cost-of-a-place",
    ),
    pytest.param(
        [(TLS, f"{TLS}, on_failed_authentication: a"), *top("rate_limits: {a: {concurrency: 5, key: [client_ip]}}")],
        ["3:118 failed credentials are counted over time: a has concurrency"],
        id="failures-at-once",
    ),
    pytest.param(
        top("rate_limits: {a: {rate: 5/minute, fair: true}}"),
        ["6:35 each principal has a bucket of its own: there is nothing to share"],
        id="share-of-a-bucket-of-ones-own",
    ),
    pytest.param(
        top("rate_limits: {a: {rate: 5/minute, fair: true, key: [client_ip]}}"),
        ["6:35 this limit runs before authentication: no principal is known there"],
        id="share-before-anybody-is-known",
    ),
    pytest.param(
        top("rate_limits: {a: {rate: 100/minute, lease: 10, concurrency: 5}}"),
        ["6:37 places are given back one by one: a limit of concurrency cannot be leased"],
        id="lease-of-places",
    ),
    pytest.param(
        top("rate_limits: {a: {rate: 100/minute, lease: 10, fair: true, key: []}}"),
        ["6:37 who asks is counted in the store: a fair limit cannot be leased"],
        id="lease-of-shares",
    ),
    pytest.param(
        top("rate_limits: {a: {rate: 19/minute, lease: 2}}"),
        ["6:43 19/minute is too small to be leased: a slice is at most a tenth of what may come at once"],
        id="lease-of-a-tiny-limit",
    ),
    pytest.param(
        top("rate_limits: {a: {rate: [100/minute, 50/second], lease: 6}}"),
        ["6:57 a slice is at most a tenth of what may come at once: 5 of 50/second"],
        id="lease-over-a-tenth",
    ),
    pytest.param(
        top("rate_limits: {a: {rate: 100/minute, lease: 6, overrides: [{match: {issuers: [corp]}, rate: 50/minute}]}}"),
        ["6:44 a slice is at most a tenth of what may come at once: 5 of 50/minute"],
        id="lease-over-a-tenth-of-an-override",
    ),
    pytest.param(
        [
            (TLS, f"{TLS}, on_failed_authentication: a"),
            *top("rate_limits: {a: {rate: 900/day, lease: 9, key: [client_ip]}}"),
        ],
        ["3:118 every credential looks at what is left: a has a lease"],
        id="lease-of-failures",
    ),
    pytest.param(
        [*top("rate_limits: {a: {rate: 100/minute, lease: 4}}"), *route("rate_limits: [{limit: a, cost: 6}]")],
        ["13:36 a is leased by 4: a slice holds no 6"],
        id="cost-over-the-slice",
    ),
    pytest.param(
        route("rate_limits: [per-client]"), ["12:19 'per-client' is none of rate_limits"], id="dangling-limit"
    ),
    pytest.param(
        top("store: ftp://x"),
        ["6:8 a store is memory://, or one of " + "://, ".join(SCHEMES) + "://"],
        id="no-store",
    ),
    # upstreams
    pytest.param(
        [(ROUTE, "    upstream: inventry\n")],
        ["11:15 'inventry' is none of upstreams (did you mean 'inventory'?)"],
        id="dangling-upstream",
    ),
    pytest.param(
        endpoint("ftp://a"), ["7:27 'ftp://a' is not a URL here: write one like https://host:port"], id="no-url"
    ),
    pytest.param(
        endpoint("https://a/x"),
        ["7:27 'https://a/x': nothing stands behind the port: write https://a"],
        id="url-with-path",
    ),
    pytest.param(endpoint("https://u:p@a"), ["7:27 a URL here holds no user and no password"], id="url-with-password"),
    pytest.param(
        endpoint("https://0.0.0.0:1"),
        ["7:27 0.0.0.0 is an unspecified address: the gateway never connects there"],
        id="K2-unspecified",
    ),
    pytest.param(
        endpoint("https://[ff02::1]:1"),
        ["7:27 ff02::1 is a multicast address: the gateway never connects there"],
        id="K2-multicast",
    ),
    pytest.param(
        endpoint("https://[fd00:ec2::254]"),
        ["7:27 fd00:ec2::254 is a cloud metadata address: the gateway never connects there"],
        id="K2-metadata",
    ),
    pytest.param(
        endpoint("https://metadata.google.internal"),
        ["7:27 metadata.google.internal is a cloud's metadata service: the gateway never connects there"],
        id="K2-metadata-name",
    ),
    pytest.param(
        endpoint("https://2130706433"),
        ["7:27 '2130706433' is neither a name nor an address in its usual form"],
        id="K2-decimal-address",
    ),
    pytest.param(
        endpoint("https://0x7f.1"),
        ["7:27 '0x7f.1' is neither a name nor an address in its usual form"],
        id="K2-hex-address",
    ),
    pytest.param(
        [('8443"]}', '8443"], tls: {server_identity: "spiffe://other/x"}}')],
        ["7:86 'other' is none of trust_domains, so nothing can verify it (add it, or tls.ca)"],
        id="backend-of-an-unknown-trust-domain",
    ),
    # routes
    pytest.param(
        [("    upstream: inventory\n", "")],
        ["9:5 the route inventory does nothing (write upstream, respond or redirect)"],
        id="idle-route",
    ),
    pytest.param(
        route("respond: {}"), ["12:5 upstream stands beside respond (a route does one of both)"], id="two-actions"
    ),
    pytest.param(
        [("routes:\n", "routes:\n  - {name: inventory, match: {paths: [/x]}, respond: {}}\n")],
        ["10:11 two routes are named 'inventory' (the first stands in line 9)"],
        id="two-routes-of-one-name",
    ),
    pytest.param(
        route("deny: [{name: a, from: {issuers: [corp]}}, {name: a, from: {issuers: [corp]}}]"),
        ["12:55 two rules are named 'a' (the first stands in line 12)"],
        id="two-rules-of-one-name",
    ),
    pytest.param(
        route("requires: {certificate: true}\n    public: true"),
        ["12:5 a public route asks for no credential, so it can require nothing of one"],
        id="requires-on-a-public-route",
    ),
    pytest.param(
        route("ignore_credentials: true"),
        ["12:5 only a public route can ignore credentials (add public: true)"],
        id="ignored-credentials-on-a-closed-route",
    ),
    pytest.param(
        route('cors: {origins: ["*"], credentials: true}'),
        ['12:22 origins "*" with credentials lets every page act for its visitor'],
        id="H29-any-origin-with-credentials",
    ),
    pytest.param(
        route('cors: {origins: ["null", https://App.example.com, https://a.example:443]}'),
        [
            "12:22 'null' is no origin to trust: write each, like https://app.example.com",
            "12:30 browsers write this origin 'https://app.example.com'",
            "12:55 browsers write this origin 'https://a.example'",
        ],
        id="H29-origins",
    ),
    pytest.param(
        [*route("rewrite: {prefix: /x}"), ('inventory/*"', 'inventory/*", /b')],
        ["12:23 '/b' has no prefix to replace: each path of this route must be X/*"],
        id="P5-prefix-of-an-exact-path",
    ),
    pytest.param(
        route("rewrite: {path: /a/../b}"),
        ['12:21 "/a/../b" never matches: paths are compared in normal form: write "/b"'],
        id="P5-rewrite-to-an-unsafe-path",
    ),
    pytest.param(
        [('["/api/v1/inventory/*"]', '["/.well-known/gateway/x"]')],
        ["10:21 /.well-known/gateway/ belongs to the gateway"],
        id="reserved-path",
    ),
    pytest.param(
        [("match: {", 'match: {hosts: ["a.example:80"], ')],
        ['10:21 "a.example:80": hosts stand without a scheme and a port here: write "a.example"'],
        id="host-with-port",
    ),
    pytest.param(
        [("match: {", "match: {listeners: [edg], ")],
        ["10:25 'edg' is none of listeners (did you mean 'edge'?)"],
        id="dangling-listener",
    ),
    pytest.param(
        route('response_headers: {set: {content-length: "1"}}'),
        ["12:46 the gateway sets content-length itself"],
        id="H26-framing-by-hand",
    ),
    pytest.param(
        route('response_headers: {set: {x-a: "a\\r\\nb: c"}}'),
        ["12:35 a header's value holds visible ASCII characters, without spaces at its ends"],
        id="H26-header-injection",
    ),
    pytest.param(
        route("forward: {headers: {x-forwarded-for: claims.sub, x-forwarded-user: claims.sub}}"),
        ["12:42 the gateway sets x-forwarded-for itself"],
        id="H14-address-by-hand",
    ),
    pytest.param(
        route('request_headers: {set: {TraceParent: "a", Via: "b"}}'),
        ["12:42 the gateway sets TraceParent itself", "12:52 the gateway sets Via itself"],
        id="H14-trace-by-hand",
    ),
    pytest.param(
        route("forward: {headers: {x-user: claims.sub, X_User: claims.sub}}"),
        ["12:45 X_User is set twice (to a backend - and _ are often the same)"],
        id="H16-set-twice",
    ),
    pytest.param(
        route('forward: {headers: {x-user: claims.sub}}\n    request_headers: {set: {X-User: "a"}}'),
        ["12:25 x-user is set twice (to a backend - and _ are often the same)"],
        id="H16-set-twice-in-two-places",
    ),
    pytest.param(
        route("forward: {headers: {x-user: sub}}"),
        ["12:33 'sub' is neither a claim path nor a quoted literal: write claims.NAME or \"'sub'\""],
        id="forwarded-field",
    ),
    pytest.param(
        route("forward: {keep: [x-forwarded-for]}"),
        [
            (
                "12:22 'x-forwarded-for' is not removed, or never let through (one of x-http-method, "
                "x-http-method-override, "
                "x-method-override, x-original-method, x-original-url, x-rewrite-url)"
            )
        ],
        id="H15-kept-field",
    ),
    pytest.param(
        route("forward: {headers: {x-user: claims.sub}, trailers: [authorization, x-checksum, X-User, 'a b']}"),
        [
            "12:57 authorization can be no trailer field (RFC 9110 section 6.5.1)",
            "12:84 X-User is set by a route of this file (what the gateway says no client may say)",
            "12:92 'a b' is no name of a header",
        ],
        id="H14-trailer",
    ),
    pytest.param(
        upstream("balance: {slow_start: {window: 10s, aggression: 0}}"),
        ["7:63 '0' is no number from 0.01 to 100"],
        id="slow-start-factor",
    ),
    pytest.param(
        upstream("balance: {policy: random, slow_start: {window: 10s, min_weight_percent: 0%}}"),
        [
            "7:41 random knows no slow start (round_robin, least_request)",
            "7:87 with nothing an endpoint would never be asked (1% or more)",
        ],
        id="slow-start",
    ),
    # rules
    pytest.param(
        rule("{from: {}}"), ["13:16 from: {} asks nothing (remove it, or write what it should ask)"], id="empty-from"
    ),
    pytest.param(
        rule("{to: [{}]}"), ["13:15 to: {} asks nothing (remove it, or write what it should ask)"], id="empty-to"
    ),
    pytest.param(
        rule("{from: {principals: []}}"),
        ["13:29 nothing stands in it: remove the key or name something"],
        id="empty-list-in-a-rule",
    ),
    pytest.param(
        rule('{from: {principals: [""]}}'),
        ["13:30 an empty text: remove the key or write a value"],
        id="empty-text-in-a-rule",
    ),
    pytest.param(
        rule("{from: {principals: [cluster.local/ns/a]}}"),
        [
            (
                '13:30 "cluster.local/ns/a": principals are written whole: write "spiffe://cluster.local/ns/a" or '
                '"dns:cluster.local/ns/a"'
            )
        ],
        id="principal-not-whole",
    ),
    pytest.param(
        rule('{from: {request_principals: ["a*b"]}}'),
        ['13:38 "a*b": one "*" may stand, at the end or at the beginning: write "ab*" or "*ab"'],
        id="star-in-the-middle",
    ),
    pytest.param(
        rule("{from: {issuers: [corq]}}"),
        ["13:27 'corq' is none of issuers (did you mean 'corp'?)"],
        id="dangling-issuer",
    ),
    pytest.param(
        rule("{from: {service_accounts: [a/b], namespaces: [a]}}"),
        ["13:42 namespaces stands beside service_accounts, which says both already"],
        id="service-accounts-beside-namespaces",
    ),
    pytest.param(
        rule("{to: {methods: [get]}}"),
        ["13:25 'get' is no method that the gateway knows: did you mean GET?"],
        id="method-in-lower-case",
    ),
    pytest.param(rule("{to: {methods: [TRACE]}}"), ["13:25 TRACE is never served: remove it"], id="trace"),
    pytest.param(
        rule("{to: {paths: [/a/./b]}}"),
        ['13:23 "/a/./b" never matches: paths are compared in normal form: write "/a/b"'],
        id="P1-path-that-never-matches",
    ),
    pytest.param(
        rule("{when: [{key: request.foo, values: [x]}]}"),
        ['13:23 "request.foo" is no attribute that a condition can ask for'],
        id="unknown-attribute",
    ),
    pytest.param(
        rule('{when: [{key: "request.headers[x]"}]}'),
        ["13:17 request.headers[x] is compared with nothing (write values or not_values)"],
        id="condition-without-values",
    ),
    pytest.param(
        rule("{when: [{key: source.ip, values: [x]}]}"),
        ['13:43 "x" is no address block: write one like 10.0.0.0/8 or 2001:db8::/32'],
        id="condition-on-no-address",
    ),
    # policies
    pytest.param(
        [("routes:\n", "policies:\n  - {name: a, action: block, rules: [{}]}\nroutes:\n")],
        ["9:23 allow, deny or audit is wanted"],
        id="unknown-action",
    ),
    pytest.param(
        [("routes:\n", "policies:\n  - {name: a, action: deny, routes: [invntory], rules: [{}]}\nroutes:\n")],
        ["9:38 'invntory' is none of routes (did you mean 'inventory'?)"],
        id="dangling-route",
    ),
    pytest.param(
        [
            (
                "routes:\n",
                (
                    "policies:\n  - {name: a, action: deny, rules: [{}]}\n  - {name: a, action: deny, rules: "
                    "[{}]}\nroutes:\n"
                ),
            )
        ],
        ["10:12 two policies are named 'a' (the first stands in line 9)"],
        id="two-policies-of-one-name",
    ),
    # audit
    pytest.param(
        top("audit: {signing_key: certs/edge.key}"),
        ["6:22 certs/edge.key holds another kind of key: an Ed25519 key signs checkpoints"],
        id="A4-signing-key-of-another-kind",
    ),
    pytest.param(top("audit: {on_failure: ignore}"), ["6:21 deny or allow is wanted"], id="A9-failure-policy"),
]


@pytest.mark.parametrize(("changes", "expected"), CASES)
def test_each_error_stands_at_its_place(folder: Path, changes: list[tuple[str, str]], expected: list[str]) -> None:
    assert judged(folder, changed(*changes))[0] == expected


def test_the_proxy_protocol_needs_somebody_who_may_speak_it(folder: Path) -> None:
    errors, _ = judged(folder, changed(("address:", "proxy_protocol: true, address:")))
    assert any("nobody is trusted to say whose connection it is" in error for error in errors), errors
    trusting = "proxy_protocol: true, trusted_proxies: [10.0.0.0/8], address:"
    assert judged(folder, changed(("address:", trusting)))[0] == []
