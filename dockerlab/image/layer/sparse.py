"""Maps of sparse files: GNU's old format and the PAX formats 0.0, 0.1 and 1.0.

Holes stay holes: `apply` writes only the extents. See GNU tar's manual, "Storing Sparse Files".
"""

from collections.abc import Callable

from dockerlab.image.layer.fault import LayerFault

__all__ = ["Extents", "check_extents", "extents_from_header", "extents_from_records"]

# Offset and length of each stretch of data, in bytes.
Extents = list[tuple[int, int]]

_BLOCK = 512
_PAIR = 24
_HEADER_PAIRS = slice(386, 386 + 4 * _PAIR)
_BLOCK_PAIRS = slice(0, 21 * _PAIR)
_MAX_EXTENTS = 1 << 20
_MAX_DIGITS = 20


def extents_from_header(
    header: bytes, take: Callable[[int], bytes], number: Callable[[bytes], int]
) -> tuple[Extents, int]:
    """Read the map of the old GNU format: four pairs in the header, 21 in each block behind it.

    Returns
    -------
    tuple
        The extents and the apparent size.
    """
    extents = _pairs(header[_HEADER_PAIRS], number)
    apparent = number(header[483:495])
    has_more = header[482]
    while has_more:
        block = take(_BLOCK)
        extents += _pairs(block[_BLOCK_PAIRS], number)
        has_more = block[504]
        if len(extents) > _MAX_EXTENTS:
            raise LayerFault("limit", "a sparse file has too many extents")
    return extents, apparent


def extents_from_records(
    records: list[tuple[bytes, bytes]], take: Callable[[int], bytes]
) -> tuple[bytes, Extents, int]:
    """Read the map of one of the PAX formats.

    Parameters
    ----------
    records : list
        The records of the entry, in order: format 0.0 repeats its keys.
    take : callable
        Takes bytes off the entry's data: format 1.0 begins with the map.

    Returns
    -------
    tuple
        The real name (may be empty), the extents and the apparent size.
    """
    values = dict(records)
    name = values.get(b"GNU.sparse.name", b"")
    size = values.get(b"GNU.sparse.realsize", values.get(b"GNU.sparse.size", b""))
    if values.get(b"GNU.sparse.major") == b"1":
        numbers = _numbers_before_data(take)
    elif b"GNU.sparse.map" in values:
        numbers = [_decimal(text) for text in values[b"GNU.sparse.map"].split(b",") if text]
    else:
        wanted = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
        numbers = [_decimal(value) for key, value in records if key in wanted]
    if len(numbers) % 2:
        raise LayerFault("tar", "the map of a sparse file is not made of pairs")
    return name, list(zip(numbers[::2], numbers[1::2], strict=True)), _decimal(size)


def check_extents(extents: Extents, apparent: int, stored: int, name: str) -> None:
    """Raise LayerFault unless the extents are in order, in the file, and as long as its data."""
    end = 0
    for offset, length in extents:
        if offset < end or length < 0:
            raise LayerFault("tar", f'the map of the sparse file "{name}" is out of order')
        end = offset + length
    if end > apparent or sum(length for _, length in extents) != stored:
        raise LayerFault("tar", f'the map of the sparse file "{name}" does not fit its data')


def _pairs(field: bytes, number: Callable[[bytes], int]) -> Extents:
    pairs: Extents = []
    for at in range(0, len(field), _PAIR):
        if not field[at]:
            break
        pairs.append((number(field[at : at + 12]), number(field[at + 12 : at + _PAIR])))
    return pairs


def _numbers_before_data(take: Callable[[int], bytes]) -> list[int]:
    """Read format 1.0's map: a count and pairs, one decimal a line, padded to whole blocks."""
    text = take(_BLOCK)
    lines = text.split(b"\n")
    count = _decimal(lines[0])
    if count > _MAX_EXTENTS:
        raise LayerFault("limit", "a sparse file has too many extents")
    # The last element is what stands behind the last newline: an unfinished number, or padding.
    while len(lines) - 1 < 1 + 2 * count:
        lines[-1:] = (lines[-1] + take(_BLOCK)).split(b"\n")
    return [_decimal(line) for line in lines[1 : 1 + 2 * count]]


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        raise LayerFault("tar", "the map of a sparse file has an invalid number")
    return int(text)
