"""HAProxy: jwt_verify at each request, a prefix map of 100 policies, a stick table per caller, a JSON log line."""

import shutil
import subprocess
from pathlib import Path

from loadtest.job import AUDIENCE, ISSUER, LIMIT, Place, Scenario, Variant, path_of

_CONFIG = """
global
  nbthread 1
  maxconn 2000
  log stdout format raw local0
  tune.ssl.default-dh-param 2048
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout http-request 10s
frontend edge
  bind 127.0.0.1:{port} ssl crt {directory}/edge-bundle.pem ssl-min-ver TLSv1.3 alpn http/1.1{clients}
{judge}
  default_backend backend
backend backend
  http-reuse always
  server one 127.0.0.1:{backend} ssl verify required ca-file {certificates}/ca.pem crt {directory}/gateway-bundle.pem \
sni str(localhost) verifyhost localhost
"""
_JUDGE = """
  log global
  log-format '{{"time":"%tr","id":"%ID","method":"%HM","path":"%[var(txn.path),json(utf8s)]","status":%ST,\
"duration_ms":%Ta,"bytes_in":%U,"bytes_out":%B,"client_ip":"%ci","upstream":"%s","subject":"%[var(txn.sub),json(utf8s)]"}}'
  unique-id-format %{{+X}}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid
  http-request set-var(txn.path) path
  http-request set-var(txn.bearer) http_auth_bearer
  http-request deny deny_status 401 unless {{ var(txn.bearer) -m found }}
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
  http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
  http-request set-var(txn.sub) var(txn.bearer),jwt_payload_query('$.sub')
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str {algorithm} }}
  http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer} }}
  http-request deny deny_status 401 unless {{ var(txn.aud) -m str {audience} }}
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{key}") 1 }}
  stick-table type string len 64 size 100k expire 60s store http_req_rate(60s)
  http-request track-sc0 var(txn.sub)
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {limit} }}
  http-request set-var(txn.wanted) var(txn.path),map_beg({directory}/policies.map)
  http-request deny deny_status 403 unless {{ var(txn.wanted),strcmp(txn.iss) eq 0 }} METH_GET
"""


class HAProxy:
    """One thread, in the foreground."""

    name = "HAProxy"
    variants = (
        Variant(Scenario.FULL, note="every token is verified again; the map stands for rbac"),
        Variant(Scenario.FORWARD),
    )

    def missing(self) -> str | None:
        return None if shutil.which("haproxy") else "apt-get install haproxy"

    def version(self) -> str:
        said = subprocess.run(["haproxy", "-v"], capture_output=True, text=True, timeout=30).stdout
        return said.split()[2].split("-")[0]

    def command(self, variant: Variant, place: Place) -> list[str]:
        for name in ("edge", "gateway"):
            bundle = place.directory / f"{name}-bundle.pem"
            bundle.touch(mode=0o600)
            bundle.write_bytes(_pem(place, name))
        policies = place.directory / "policies.map"
        policies.write_text("".join(f"{path_of(number)} {ISSUER}\n" for number in range(variant.setting.routes)))
        values = {
            "port": place.port,
            "backend": place.backend,
            "directory": place.directory,
            "certificates": place.certificates,
            "clients": f" ca-file {place.certificates}/ca.pem verify required" if variant.setting.clients else "",
            "algorithm": variant.setting.algorithm,
            "key": place.key(variant),
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "limit": min(LIMIT, 2**31 - 1),
        }
        judge = _JUDGE.format(**values) if variant.scenario is Scenario.FULL else ""
        file = place.directory / "haproxy.cfg"
        file.write_text(_CONFIG.format(judge=judge, **values))
        return [str(shutil.which("haproxy")), "-db", "-f", str(file)]


def _pem(place: Place, name: str) -> bytes:
    """Certificate and key in one file, as HAProxy wants them."""
    directory: Path = place.certificates
    return (directory / f"{name}.pem").read_bytes() + (directory / f"{name}.key").read_bytes()
