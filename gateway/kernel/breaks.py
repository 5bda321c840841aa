"""The last guard against splitting: what of a written head could end a line.

Rule: a head holds exactly the line ends that were meant; whoever writes one counts them.
"""

_BREAKS = b"\r\n\0"


def breaks(written: bytes) -> int:
    """How many bytes CR, LF and NUL stand in it: two for each line end that was meant."""
    # one translate() finds all three in a third of the time that three count() take
    return len(written) - len(written.translate(None, _BREAKS))
