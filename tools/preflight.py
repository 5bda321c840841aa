"""Looks, before anything is made, whether this Python can make a virtual environment.

Runs under whatever `python3` is: no import beyond the standard library and no new syntax.
"""

import importlib.util
import sys


def main() -> "str | None":
    """Say what is missing and the one command that mends it; exit 1 then."""
    if sys.version_info < (3, 11):
        found = ".".join(map(str, sys.version_info[:2]))
        return "Python 3.11 or newer is needed and this is {}: make PYTHON=python3.11 install".format(found)
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        version = ".".join(map(str, sys.version_info[:2]))
        return "this Python lacks {}: sudo apt-get install python{}-venv".format(" and ".join(missing), version)
    return None


if __name__ == "__main__":
    sys.exit(main())
