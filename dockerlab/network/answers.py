"""Questions to the name server, answered from the engine's own names. Pure.

What a container sends is a stranger's bytes; whatever they are, there is an answer or none, never
an error. RFC 1035; RFC 6891 for the size that an asker takes; RFC 3596 for IPv6.
"""

import struct
from ipaddress import IPv4Address, ip_address

from dnslib import AAAA, PTR, QTYPE, RCODE, RR, A, DNSRecord

from dockerlab.network.names import Names
from dockerlab.network.pools import Address

__all__ = ["HEADER_BYTES", "answer", "format_error", "framed", "is_question", "server_failure"]

HEADER_BYTES = 12
_TTL_S = 600  # moby, libnetwork: respTTL
_ARPA4, _ARPA6 = ".in-addr.arpa", ".ip6.arpa"
_NIBBLES = 32
# What fits into a datagram where nobody asks for more, and the most that we send.
_DATAGRAM_BYTES, _LARGEST_BYTES = 512, 4096
_RECORD_BYTES = {4: 16, 6: 28}
# Bits of a header: QR and RA; of the question's, the kind and RD and CD are given back.
_RESPONSE, _KEPT, _IS_RESPONSE = 0x8080, 0x7910, 0x8000


def is_question(data: bytes) -> bool:
    """Tell whether these bytes may be answered at all: others' answers are not, nor is noise."""
    return len(data) >= HEADER_BYTES and not data[2] & (_IS_RESPONSE >> 8)


def answer(
    names: Names, networks: tuple[str, ...], data: bytes, *, is_stream: bool
) -> bytes | None:
    """Answer a question about names of the networks; None for one about other names.

    Parameters
    ----------
    data : bytes
        A message that `is_question`.
    is_stream : bool
        The answer may have any size.
    """
    try:
        query = DNSRecord.parse(data)
        name, kind = str(query.q.qname), QTYPE.get(query.q.qtype)
    except Exception:  # noqa: BLE001 - a stranger's bytes; the parser has many a way to refuse
        return format_error(data)
    if len(query.questions) != 1 or query.header.opcode:
        return format_error(data)
    if kind == "PTR" and (asked := _reversed_address(name)) is not None:
        found = names.name_of(networks, asked)
        if found is None:
            return None
        reply = query.reply()
        reply.add_answer(RR(query.q.qname, QTYPE.PTR, rdata=PTR(found), ttl=_TTL_S))
        return bytes(reply.pack())
    addresses = names.addresses(networks, name)
    if addresses is None:
        return None
    # Of a name that is known there is nothing else to find elsewhere: an answer, though empty.
    wanted = {"A": (4,), "AAAA": (6,), "ANY": (4, 6)}.get(kind, ())
    matching = [address for address in addresses if address.version in wanted]
    return _pack(query, matching, 0 if is_stream else _size_taken(query))


def _pack(query: DNSRecord, addresses: list[Address], size: int) -> bytes:
    """Return an answer with as many addresses as fit; `size` 0 is any."""
    reply = query.reply()
    room = size - len(reply.pack())
    for address in addresses:
        room -= _RECORD_BYTES[address.version]
        if size and room < 0:
            reply.header.tc = 1
            break
        is_old = isinstance(address, IPv4Address)
        kind, data = (QTYPE.A, A(str(address))) if is_old else (QTYPE.AAAA, AAAA(str(address)))
        reply.add_answer(RR(query.q.qname, kind, rdata=data, ttl=_TTL_S))
    return bytes(reply.pack())


def _size_taken(query: DNSRecord) -> int:
    sizes = [int(record.rclass) for record in query.ar if record.rtype == QTYPE.OPT]
    return min(max([_DATAGRAM_BYTES, *sizes]), _LARGEST_BYTES)


def _reversed_address(name: str) -> Address | None:
    name = name.lower().rstrip(".")
    try:
        if name.endswith(_ARPA4):
            return ip_address(".".join(reversed(name.removesuffix(_ARPA4).split("."))))
        if name.endswith(_ARPA6):
            nibbles = name.removesuffix(_ARPA6).split(".")
            if len(nibbles) == _NIBBLES:
                return ip_address(bytes.fromhex("".join(reversed(nibbles))))
    except ValueError:
        return None
    return None


def server_failure(data: bytes) -> bytes:
    """Return SERVFAIL for a message that `is_question`."""
    return _refusal(data, RCODE.SERVFAIL)


def format_error(data: bytes) -> bytes:
    """Return FORMERR for a message that `is_question`."""
    return _refusal(data, RCODE.FORMERR)


def _refusal(data: bytes, code: int) -> bytes:
    # The header alone, with the question's own number; no records.
    number, flags = struct.unpack("!HH", data[:4])
    return struct.pack("!HHHHHH", number, _RESPONSE | flags & _KEPT | code, 0, 0, 0, 0)


def framed(data: bytes) -> bytes:
    """Return a message with its length before it, as it goes over a stream (RFC 1035, 4.2.2)."""
    return struct.pack("!H", len(data)) + data
