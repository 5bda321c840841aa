"""Path templates: `{*}` is one segment that is not empty, `{**}` any characters, slashes too.

`{**}` stands at most once and after every `{*}`; an operator fills its segment and never mixes with a plain `*`.
Source: Istio AuthorizationPolicy, path templating; Envoy uri_template.
"""

from gateway.kernel.patterns.values import Match

_ONE = "{*}"
_ANY = "{**}"
_LITERAL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%!$&'()+,;:@=")


def is_template(pattern: str) -> bool:
    """True when `pattern` is to be read as a template: it holds a brace."""
    return "{" in pattern or "}" in pattern


def parse_template(pattern: str) -> list[str]:
    """The segments of a template, the first of them the empty one before the slash. Raises ValueError."""
    if not pattern.startswith("/"):
        raise ValueError(f'"{pattern}": a path template begins with "/"')
    segments = pattern.split("/")
    for segment in segments:
        if segment not in (_ONE, _ANY):
            _judge_literal(pattern, segment)
    if segments.count(_ANY) > 1:
        raise ValueError(f'"{pattern}": "{{**}}" may stand once: it covers slashes too')
    if _ANY in segments and _ONE in segments[segments.index(_ANY) :]:
        raise ValueError(f'"{pattern}": "{{**}}" must be the last operator: write "{{*}}" before it only')
    return segments


def _judge_literal(pattern: str, segment: str) -> None:
    if "{" in segment or "}" in segment:
        raise ValueError(
            f'"{pattern}": "{segment}" is not an operator: write "{{*}}" for one segment or "{{**}}" for any rest, '
            "alone in its segment"
        )
    if "*" in segment:
        raise ValueError(f'"{pattern}": a template takes no plain "*": write "{{*}}" or "{{**}}"')
    if not _LITERAL.issuperset(segment):
        raise ValueError(f'"{pattern}": "{segment}" holds a character that no path segment has')


def compile_template(pattern: str) -> Match:
    """A predicate over normalised paths. Raises ValueError."""
    segments = parse_template(pattern)
    if _ANY not in segments:
        return lambda path: _fits(path.split("/"), segments)
    at = segments.index(_ANY)
    before, after = segments[:at], segments[at + 1 :]
    shortest = len(before) + 1 + len(after)

    def match(path: str) -> bool:
        parts = path.split("/")
        if len(parts) < shortest or not _fits(parts[:at], before):
            return False
        return not after or parts[-len(after) :] == after

    return match


def _fits(parts: list[str], segments: list[str]) -> bool:
    if len(parts) != len(segments):
        return False
    for part, segment in zip(parts, segments, strict=True):
        if part != segment and (segment != _ONE or not part):
            return False
    return True
