"""What a client asks for when it attaches to a container or to an exec."""

from dataclasses import dataclass

__all__ = ["AttachRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachRequest:
    """Which streams a hijacked connection joins.

    Parameters
    ----------
    logs : bool
        Replay what is in the log first.
    stream : bool
        Go on with the live streams; without it only the log is replayed.
    leftover : bytes
        Bytes of standard input that came right behind the request's head.
    is_multiplexed : bool
        Frames of 8 bytes and payload (no terminal); otherwise raw bytes.
        Engine API, /containers/{id}/attach, "Stream format".
    detach_keys : bytes
        What takes the client off a terminal when it is typed; b"" for nothing.
    """

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    logs: bool = False
    stream: bool = True
    leftover: bytes = b""
    is_multiplexed: bool = True
    detach_keys: bytes = b""
