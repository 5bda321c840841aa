import hashlib

import hiredis

from gateway.kernel.store import Call, Script
from gateway.kernel.store.script import command


def _parsed(data: bytes) -> object:
    reader = hiredis.Reader()
    reader.feed(data)
    parsed = reader.gets()
    assert reader.gets() is False  # nothing is left over
    return parsed


def test_a_command_is_an_array_of_bulk_strings() -> None:
    assert command(b"GET", b"") == b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n"


def test_a_call_is_the_script_the_tagged_keys_and_the_arguments() -> None:
    script = Script("return 1")
    call = Call(script, prefix=b"gw:1:", keys=2, length=3, arguments=[b"10", b""])
    keys = [b"gw:1:{abc}", b"gw:1:{xyz}"]
    sha = hashlib.sha1(b"return 1").hexdigest().encode()
    assert _parsed(call.by_sha([b"abc", b"xyz"])) == [b"EVALSHA", sha, b"2", *keys, b"10", b""]
    assert _parsed(call.whole([b"abc", b"xyz"])) == [b"EVAL", b"return 1", b"2", *keys, b"10", b""]


def test_a_script_is_shown_by_its_hash() -> None:
    assert repr(Script("return 1")) == "Script(e0e1f9fa)"
