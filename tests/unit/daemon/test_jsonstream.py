from dockerlab.engine.log import LogRecord
from tests.unit.daemon.conftest import Daemon, read_all
from tests.unit.daemon.memory import TIME

LINE = b"x" * 1023 + b"\n"


def chunk_of(data: bytes) -> bytes:
    """Undo the chunked coding of a response's body (RFC 9112, section 7.1)."""
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return body


def test_a_long_log_arrives_whole_and_in_order(daemon: Daemon) -> None:
    container_id = daemon.create("sleep", Tty=True)
    records = [LogRecord(stream="stdout", time=TIME, line=b"%05d " % n + LINE) for n in range(2000)]
    daemon.on_loop(lambda: daemon.engine.containers.running[container_id].log.extend(records))
    status, _, data = daemon.request("GET", "/containers/c/logs?stdout=1")
    assert (status, data) == (200, b"".join(record.line for record in records))


def test_a_client_that_reads_slowly_does_not_fill_the_memory(daemon: Daemon) -> None:
    container_id = daemon.create("sleep", Tty=True)
    record = LogRecord(stream="stdout", time=TIME, line=LINE)
    log = daemon.engine.containers.running[container_id].log
    daemon.on_loop(lambda: log.extend([record] * 20_000))
    with daemon.raw(
        b"GET /containers/c/logs?stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    ) as connection:
        head = connection.recv(1)
        # The rest waits in the log, not in the daemon: a second client is served meanwhile.
        assert daemon.request("GET", "/_ping")[0] == 200
        _, _, body = (head + read_all(connection)).partition(b"\r\n\r\n")
    assert chunk_of(body) == LINE * 20_000


def test_a_client_that_leaves_ends_the_reading(daemon: Daemon) -> None:
    daemon.create("sleep")
    with daemon.raw(
        b"GET /containers/c/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n"
    ) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
    daemon.wait_until(daemon.activity.is_idle)
    daemon.request("GET", "/_ping")
    assert daemon.on_loop(lambda: daemon.engine.containers.cancelled_logs) == 1
