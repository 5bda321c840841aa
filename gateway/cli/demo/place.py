"""Where a running demo is: its folder, its addresses, and the file by which another `gateway demo --try` finds it.

Rule: only a folder of our own user, with a demo that still runs, is believed.
Invariant: everything that a request of the demo needs lies in the folder under a short name.
"""

import contextlib
import json
import os
import ssl
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

PREFIX = "gateway-demo-"
_FILE = "demo.json"


@dataclass(frozen=True, slots=True)
class Place:
    """A demo that runs."""

    folder: Path
    pid: int
    edge: int  # port of the listener for services
    browser: int  # port of the listener for browsers
    admin: int
    issuer: str
    app: str  # origin of the browser application

    def token(self, name: str) -> str:
        """The Authorization value in a token file."""
        return (self.folder / name).read_text().partition(":")[2].strip()

    def tls(self, certificate: str | None) -> ssl.SSLContext:
        """A client's context, with the named certificate if there is one."""
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if certificate is not None:
            context.load_cert_chain(self.folder / f"{certificate}.pem")
        return context

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {**asdict(self), "folder": str(self.folder)}

    def write(self) -> None:
        """Let others find it."""
        (self.folder / _FILE).write_text(json.dumps(self.document()))


def find() -> Place | None:
    """The demo that was started last and still runs."""
    folders = [path for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if _ours(path)]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True):
        with contextlib.suppress(OSError, ValueError, TypeError):
            members = json.loads((folder / _FILE).read_text())
            place = Place(**{**members, "folder": folder})
            os.kill(place.pid, 0)
            return place
    return None


def _ours(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        found = folder.lstat()
        return folder.is_dir() and not folder.is_symlink() and found.st_uid == os.geteuid()
    return False
