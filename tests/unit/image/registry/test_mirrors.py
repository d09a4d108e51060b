import pytest

from dockerlab.errors import InvalidArgument, Unavailable
from dockerlab.image.registry.mirrors import RegistrySettings, endpoints, is_loopback


def _urls(registry: str, **settings: object) -> list[str]:
    return [e.url for e in endpoints(registry, RegistrySettings(**settings))]  # type: ignore[arg-type]


def test_docker_hub_has_a_server_of_another_name() -> None:
    assert _urls("docker.io") == ["https://registry-1.docker.io"]


def test_mirrors_come_before_docker_hub_in_order() -> None:
    mirrors = ("http://127.0.0.1:5000/", "https://mirror.example/docker/", "other.example")
    found = endpoints("docker.io", RegistrySettings(mirrors=mirrors))
    assert [endpoint.url for endpoint in found] == [
        "http://127.0.0.1:5000",
        "https://mirror.example/docker",
        "https://other.example",
        "https://registry-1.docker.io",
    ]
    assert [endpoint.is_mirror for endpoint in found] == [True, True, True, False]
    assert found[1].registry == "mirror.example"


def test_mirrors_are_docker_hub_s_only() -> None:
    assert _urls("quay.io", mirrors=("http://127.0.0.1:5000",)) == ["https://quay.io"]


@pytest.mark.parametrize(
    "registry", ["127.0.0.1:5000", "127.9.9.9", "localhost:5000", "[::1]:5000"]
)
def test_loopback_is_plain_first(registry: str) -> None:
    assert _urls(registry) == [f"http://{registry}", f"https://{registry}"]


@pytest.mark.parametrize("registry", ["quay.io", "10.0.0.1:5000", "localhost.example:5000"])
def test_elsewhere_there_is_tls_only(registry: str) -> None:
    [endpoint] = endpoints(registry, RegistrySettings())
    assert endpoint.url == f"https://{registry}"
    assert endpoint.verifies
    assert not endpoint.is_plain


def test_an_insecure_registry_may_have_a_bad_certificate_or_none() -> None:
    found = endpoints("lab:5000", RegistrySettings(insecure_registries=("lab:5000",)))
    assert [endpoint.url for endpoint in found] == ["https://lab:5000", "http://lab:5000"]
    assert not found[0].verifies


def test_the_hub_is_where_the_settings_say() -> None:
    assert _urls("hub.localhost", hub_address="127.0.0.1:4321") == ["http://127.0.0.1:4321"]
    with pytest.raises(Unavailable, match="does not run"):
        _urls("hub.localhost")


@pytest.mark.parametrize("mirror", ["ftp://x", "http://", "http://user:pass@x", "://"])
def test_a_mirror_must_be_an_address(mirror: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid mirror"):
        _urls("docker.io", mirrors=(mirror,))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("hub.localhost", True),
        ("127.0.0.1", True),
        ("127.255.0.1", True),
        ("::1", True),
        ("[::1]", True),
        ("128.0.0.1", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("", False),
    ],
)
def test_loopback_is_told_without_dns(host: str, loopback: bool) -> None:  # noqa: FBT001 - a table
    assert is_loopback(host) is loopback
