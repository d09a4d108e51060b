"""What can be wrong with a layer, and how large it may be. No reporting here: see `worker`."""

__all__ = ["LayerFault", "Limits", "shown"]

_SHOWN_BYTES = 200


class LayerFault(Exception):
    """A layer cannot be unpacked.

    Parameters
    ----------
    kind : str
        ``digest``, ``tar``, ``space``, ``limit`` or ``io``; what the other side makes its error of.
    message : str
        One clause in lower case, without the layer's name.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Limits:
    """What an archive may demand. Every number is checked before it is believed.

    Parameters
    ----------
    entries : int
        Members of the archive.
    total_bytes : int
        Bytes of the uncompressed archive, and apart from that of all files' apparent sizes, so that
        a sparse file cannot claim more than was allowed.
    ratio : int
        How many times larger than its compressed form an archive may be, once it is larger than
        `free_ratio_bytes`.
    header_bytes : int
        One PAX header or GNU long name; the kernel allows 64 KiB for one extended attribute.
    """

    __slots__ = ("entries", "free_ratio_bytes", "header_bytes", "ratio", "total_bytes")

    def __init__(
        self,
        *,
        entries: int = 4_000_000,
        total_bytes: int = 100 << 30,
        header_bytes: int = 1 << 20,
        ratio: int = 500,
        free_ratio_bytes: int = 1 << 30,
    ) -> None:
        self.entries = entries
        self.total_bytes = total_bytes
        self.header_bytes = header_bytes
        self.ratio = ratio
        self.free_ratio_bytes = free_ratio_bytes


def shown(name: bytes) -> str:
    """Return a member's name for a message: readable, short, on one line."""
    text = name[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return text + ("…" if len(name) > _SHOWN_BYTES else "")
