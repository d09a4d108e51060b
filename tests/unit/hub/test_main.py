import json
import signal
import socket
import sys
from subprocess import DEVNULL, PIPE, Popen, run
from urllib.request import urlopen


def test_address_is_printed_when_it_answers_and_sigterm_ends_it() -> None:
    command = [sys.executable, "-m", "dockerlab.hub"]
    with Popen(command, stdout=PIPE, stderr=DEVNULL, text=True) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["address"]
        with urlopen(f"http://{address}/v2/") as response:
            assert response.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "dockerlab.hub", "--port", port]
        done = run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"cannot serve on port {port} of 127.0.0.1: Address already in use\n"
