"""nginx: a location a route, limit_req, a JSON log line. The free edition validates no tokens: it is the floor."""

import shutil
import subprocess

from loadtest.job import Place, Scenario, Variant, path_of

_CONFIG = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log error;
events {{ worker_connections 2048; }}
http {{
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/f;
  uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  keepalive_requests 1000000000;
  limit_req_zone $http_authorization zone=callers:10m rate=1000000r/s;
  log_format line escape=json '{{"time":"$time_iso8601","id":"$request_id","method":"$request_method","host":"$host",'
    '"path":"$uri","status":$status,"duration":$request_time,"bytes_in":$request_length,"bytes_out":$bytes_sent,'
    '"client_ip":"$remote_addr","upstream":"$upstream_addr"}}';
  access_log {log};
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_protocols TLSv1.3;
    ssl_certificate {certificates}/edge.pem; ssl_certificate_key {certificates}/edge.key;
{clients}    client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Request-Id $request_id;
    proxy_ssl_certificate {certificates}/gateway.pem; proxy_ssl_certificate_key {certificates}/gateway.key;
    proxy_ssl_trusted_certificate {certificates}/ca.pem; proxy_ssl_verify on; proxy_ssl_name localhost;
    proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3;
{locations}
  }}
}}
"""


class Nginx:
    """One worker process below its master."""

    name = "nginx"
    variants = (Variant(Scenario.FULL, note="no token is validated, no rule judged"), Variant(Scenario.FORWARD))

    def missing(self) -> str | None:
        return None if shutil.which("nginx") else "apt-get install nginx"

    def version(self) -> str:
        return subprocess.run(["nginx", "-v"], capture_output=True, text=True, timeout=30).stderr.strip().split("/")[-1]

    def command(self, variant: Variant, place: Place) -> list[str]:
        full = variant.scenario is Scenario.FULL
        limit = "limit_req zone=callers burst=1000000 nodelay; " if full else ""
        locations = "\n".join(
            f"    location {path_of(number)} {{ {limit}proxy_pass https://backend; }}"
            for number in range(variant.setting.routes)
        )
        file = place.directory / "nginx.conf"
        clients = f"    ssl_client_certificate {place.certificates}/ca.pem; ssl_verify_client on;\n"
        file.write_text(
            _CONFIG.format(
                directory=place.directory,
                certificates=place.certificates,
                port=place.port,
                backend=place.backend,
                log=f"{place.directory}/access.log line" if full else "off",
                locations=locations,
                clients=clients if variant.setting.clients else "",
            )
        )
        return [str(shutil.which("nginx")), "-c", str(file), "-p", str(place.directory), "-e", "stderr"]
