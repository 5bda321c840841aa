"""Audit lines on standard output, which the program's own log leaves alone."""

import os
import select

_ATOMIC = 4096  # bytes that a pipe takes whole: the lines of several workers do not run into each other (PIPE_BUF)
_PATIENCE_MS = 5000


class Stdout:
    """Writes to a descriptor."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor

    def __call__(self, lines: list[bytes]) -> None:
        """Raises OSError."""
        while lines:
            count, size = 1, len(lines[0])
            while count < len(lines) and size + len(lines[count]) <= _ATOMIC:
                size += len(lines[count])
                count += 1
            self._write(b"".join(lines[:count]))
            del lines[:count]

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # somebody made it non-blocking: it is shared with other programs
                ready = select.poll()
                ready.register(self._descriptor, select.POLLOUT)
                if not ready.poll(_PATIENCE_MS):
                    raise OSError("standard output takes nothing") from None
