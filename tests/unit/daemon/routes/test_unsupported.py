import pytest

from tests.unit.daemon.conftest import Daemon


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("POST", "/v1.45/containers/c/checkpoints", "checkpoints"),
        ("GET", "/services", "services"),
        ("DELETE", "/plugins/x", "plugins"),
    ],
)
def test_what_later_versions_do_is_refused_with_a_sentence(
    daemon: Daemon, method: str, path: str, what: str
) -> None:
    status, _, data = daemon.request(method, path)
    assert status == 501
    assert what.encode() in data
    assert not data or b"not supported by this version of dockerlab" in data
