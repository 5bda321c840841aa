"""`${NAME}` and `${NAME:-default}` inside scalars, and `$${` for a literal `${`.

Replaced once, after parsing: a value is never read again as YAML and can never add keys.
A variable that is unset and has no default is an error, never an empty text.
"""

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:-)([^}]*))?\}|\$\{")


def substitute(text: str, env: Mapping[str, str]) -> str:
    """`text` with its variables replaced. Raises ValueError that names the variable, never its value.

    As in a shell, `:-` also stands in for a variable that is set and empty.
    """

    def value(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        name, default = found[1], found[3]
        if name is None:
            raise ValueError("a variable is written ${NAME} or ${NAME:-default}; $${ is a literal ${")
        if found[2]:
            return env.get(name) or default
        if name not in env:
            raise ValueError(f"${{{name}}} is not set: set it, or write ${{{name}:-default}}")
        return env[name]

    return _VARIABLE.sub(value, text)
