"""Audit lines appended to another file; made anew when it was moved away (logrotate)."""

import os
from pathlib import Path


class File:
    """One file, which several workers may share: each write is of whole lines, at the file's end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._torn = False  # a write ended within a line

    def __call__(self, lines: list[bytes]) -> None:
        """Raises OSError."""
        self._open()
        data = b"".join(lines)
        if self._torn:
            data = b"\n" + data
        done = 0
        while done < len(data):
            written = os.write(self._descriptor, data[done:])
            self._torn = True  # until the last byte is there
            done += written
        self._torn = False
        lines.clear()

    def _open(self) -> None:
        if self._descriptor >= 0:
            try:
                there, ours = self._path.stat(), os.fstat(self._descriptor)
                if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                    return
            except OSError:
                pass
            os.close(self._descriptor)
            self._descriptor, self._torn = -1, False
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o640)
