"""A record on its way to the disk.

A bare tuple: two are made for each request, and a class of names costs several times as much.
"""

from typing import TypeAlias

Waiting: TypeAlias = tuple[str, float, str, str, bool]
"""Its type, when it was made (seconds since the epoch), its members in two parts, and whether to try again when the
write fails. The first part is "" or what both records of a request begin with."""
