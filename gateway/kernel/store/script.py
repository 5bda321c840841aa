"""One Lua script, and calls of it with everything but the keys packed ahead.

A call is sent as EVALSHA; a server that does not know the script (a flush, a failover, a new replica) gets the whole of
it once, as EVAL. Keys are passed as KEYS, all of one length, so that a call is packed by joining bytes.
"""

import hashlib
from collections.abc import Sequence


def command(*arguments: bytes) -> bytes:
    """A command as RESP: an array of bulk strings."""
    return b"*%d\r\n" % len(arguments) + b"".join(map(_bulk, arguments))


def _bulk(argument: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(argument), argument)


class Script:
    """A Lua script, named by its SHA-1 as Redis names it."""

    __slots__ = ("sha", "source")

    def __init__(self, source: str) -> None:
        self.source = source.encode()
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()

    def __repr__(self) -> str:
        return f"Script({self.sha.decode()[:8]})"


class Call:
    """A call of a script, whole but for its keys."""

    __slots__ = ("_by_sha", "_glue", "_tail", "_whole")

    def __init__(
        self, script: Script, *, prefix: bytes, keys: int, length: int, arguments: Sequence[bytes], more: int = 0
    ) -> None:
        """`keys` names of `length` bytes each will be given; on the server a key is `prefix{name}`.

        `more`: arguments that a subclass adds to each call.

        The braces are a hash tag (Redis cluster specification): a bucket's slot hangs on its name alone.
        """
        opened = b"$%d\r\n%b{" % (len(prefix) + length + 2, prefix)
        head = b"*%d\r\n" % (3 + keys + len(arguments) + more)
        count = _bulk(b"%d" % keys) + opened
        self._by_sha = head + _bulk(b"EVALSHA") + _bulk(script.sha) + count
        self._whole = head + _bulk(b"EVAL") + _bulk(script.source) + count
        self._glue = b"}\r\n" + opened
        self._tail = b"}\r\n" + b"".join(map(_bulk, arguments))

    def by_sha(self, names: Sequence[bytes]) -> bytes:
        """The call as EVALSHA."""
        return self._by_sha + self._glue.join(names) + self._tail

    def whole(self, names: Sequence[bytes]) -> bytes:
        """The call with the script's text, as EVAL: the server knows the script from then on."""
        return self._whole + self._glue.join(names) + self._tail


class CallWithMore(Call):
    """A call whose last arguments come with each call: the last `more` of its `names`."""

    __slots__ = ("_more",)

    def __init__(
        self, script: Script, *, prefix: bytes, keys: int, length: int, arguments: Sequence[bytes], more: int = 1
    ) -> None:
        super().__init__(script, prefix=prefix, keys=keys, length=length, arguments=arguments, more=more)
        self._more = more

    def by_sha(self, names: Sequence[bytes]) -> bytes:
        return super().by_sha(names[: -self._more]) + b"".join(map(_bulk, names[-self._more :]))

    def whole(self, names: Sequence[bytes]) -> bytes:
        return super().whole(names[: -self._more]) + b"".join(map(_bulk, names[-self._more :]))


class WholeCall(CallWithMore):
    """A seldom call whose place among others counts: always with its text, so that it is never sent twice."""

    __slots__ = ()

    def by_sha(self, names: Sequence[bytes]) -> bytes:
        return self.whole(names)
