"""The name server's answers, to questions of every kind."""

import random
from ipaddress import ip_address

import pytest
from dnslib import EDNS0, QTYPE, RCODE, RR, DNSRecord

from dockerlab.network import answers
from dockerlab.network.names import Names

NETWORKS = ("net",)


@pytest.fixture
def names() -> Names:
    names = Names()
    names.add("net", ["web", "www"], [ip_address("10.0.0.2"), ip_address("fd00::2")])
    names.add("net", ["old"], [ip_address("10.0.0.3")])
    return names


def _ask(names: Names, name: str, kind: str = "A") -> DNSRecord | None:
    data = DNSRecord.question(name, kind).pack()
    answer = answers.answer(names, NETWORKS, data, is_stream=False)
    return None if answer is None else DNSRecord.parse(answer)


def _records(reply: DNSRecord | None) -> list[str]:
    assert reply is not None
    assert reply.header.rcode == RCODE.NOERROR
    return [str(record.rdata) for record in reply.rr]


def test_a_name_has_an_address_of_each_version(names: Names) -> None:
    assert _records(_ask(names, "web")) == ["10.0.0.2"]
    assert _records(_ask(names, "www", "AAAA")) == ["fd00::2"]
    assert sorted(_records(_ask(names, "web", "ANY"))) == ["10.0.0.2", "fd00::2"]


def test_a_known_name_without_such_a_record_has_an_empty_answer(names: Names) -> None:
    # And is not looked for elsewhere: a resolver would take the error for both versions.
    assert _records(_ask(names, "old", "AAAA")) == []
    assert _records(_ask(names, "old", "MX")) == []


def test_an_unknown_name_is_not_ours_to_answer(names: Names) -> None:
    assert _ask(names, "elsewhere.example") is None
    assert _ask(names, "9.9.9.9.in-addr.arpa", "PTR") is None


def test_the_question_comes_back_as_it_was_written(names: Names) -> None:
    reply = _ask(names, "WeB.")
    assert _records(reply) == ["10.0.0.2"]
    assert str(reply.q.qname) == "WeB."  # type: ignore[union-attr]


def test_addresses_have_names(names: Names) -> None:
    assert _records(_ask(names, "2.0.0.10.in-addr.arpa", "PTR")) == ["web."]
    reverse = ip_address("fd00::2").reverse_pointer
    assert _records(_ask(names, reverse.upper(), "PTR")) == ["web."]


@pytest.mark.parametrize("name", ["x.in-addr.arpa", "1.2.in-addr.arpa", "g.ip6.arpa", "arpa"])
def test_what_is_no_reversed_address_is_forwarded(names: Names, name: str) -> None:
    assert _ask(names, name, "PTR") is None


def test_as_many_addresses_as_fit_are_given(names: Names) -> None:
    names.add("net", ["many"], [ip_address(f"10.1.0.{n}") for n in range(1, 200)])
    data = DNSRecord.question("many").pack()
    small = answers.answer(names, NETWORKS, data, is_stream=False) or b""
    assert len(small) <= 512
    assert DNSRecord.parse(small).header.tc == 1
    assert len(DNSRecord.parse(small).rr) > 25
    large = answers.answer(names, NETWORKS, data, is_stream=True) or b""
    assert DNSRecord.parse(large).header.tc == 0
    assert len(DNSRecord.parse(large).rr) == 199


def test_who_takes_larger_datagrams_gets_them(names: Names) -> None:
    names.add("net", ["many"], [ip_address(f"10.1.0.{n}") for n in range(1, 60)])
    query = DNSRecord.question("many")
    query.add_ar(EDNS0(udp_len=1232))
    answer = answers.answer(names, NETWORKS, query.pack(), is_stream=False) or b""
    assert 512 < len(answer) <= 1232
    assert len(DNSRecord.parse(answer).rr) == 59


def test_noise_is_never_an_error(names: Names) -> None:
    random_ = random.Random(1)
    valid = DNSRecord.question("web").pack()
    for _ in range(3000):
        data = bytearray(random_.randbytes(random_.randrange(80)))
        if random_.random() < 0.5:
            data = bytearray(valid)
            for _ in range(random_.randrange(4)):
                data[random_.randrange(len(data))] = random_.randrange(256)
        if answers.is_question(bytes(data)):
            answer = answers.answer(names, NETWORKS, bytes(data), is_stream=False)
            assert answer is None or answer[:2] == data[:2]


def test_loops_and_names_too_long_are_refused(names: Names) -> None:
    header = b"\0\1\1\0\0\1\0\0\0\0\0\0"
    for question in (b"\xc0\x0c\0\1\0\1", b"\x3f" + b"a" * 63 + b"\xc0\x0c\0\1\0\1"):
        answer = answers.answer(names, NETWORKS, header + question, is_stream=False)
        assert answer is not None
        assert DNSRecord.parse(answer).header.rcode in (RCODE.FORMERR, RCODE.SERVFAIL)


def test_an_answer_is_no_question(names: Names) -> None:
    reply = DNSRecord.question("web").reply()
    reply.add_answer(*RR.fromZone("web 60 A 10.0.0.9"))
    assert not answers.is_question(reply.pack())
    assert not answers.is_question(b"short")


def test_a_failure_keeps_number_and_flags() -> None:
    query = DNSRecord.question("web", "AAAA")
    reply = DNSRecord.parse(answers.server_failure(query.pack()))
    assert reply.header.id == query.header.id
    assert (reply.header.qr, reply.header.rd, reply.header.ra) == (1, 1, 1)
    assert QTYPE.get(query.q.qtype) == "AAAA"
