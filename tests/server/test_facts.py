"""Facts of a session without a session; those of real ones are told in tests/attacks/test_handshake.py."""

import ssl

from gateway.server.facts import tls_facts
from gateway.testing.ca import Authority
from gateway.testing.tls import client_context, server_context

ROOT = Authority("cluster.local")


def test_without_tls_there_are_no_facts() -> None:
    assert tls_facts(None) is None


def test_a_session_of_another_context_has_no_sni_and_the_chain_as_it_was_sent() -> None:
    client = ROOT.intermediate().issue(uri="spiffe://cluster.local/ns/a/sa/b")
    near, far = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context(ROOT.issue(dns=["localhost"]), [ROOT]).wrap_bio(far, near, server_side=True)
    peer = client_context([ROOT], client).wrap_bio(near, far, server_hostname="localhost")
    for _ in range(3):
        for side in (peer, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    facts = tls_facts(server)
    assert facts is not None
    assert (facts.version, facts.sni, facts.served, facts.chain) == ("TLSv1.3", None, 0, client.ders)
