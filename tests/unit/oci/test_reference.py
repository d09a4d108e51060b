"""References as distribution's grammar and Docker's normalisation have them."""

import pytest

from dockerlab.errors import BadReference
from dockerlab.oci.reference import is_image_id, parse_reference, parse_registry

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("hello-world", "docker.io/library/hello-world:latest", "hello-world:latest"),
        ("library/hello-world", "docker.io/library/hello-world:latest", "hello-world:latest"),
        ("docker.io/hello-world", "docker.io/library/hello-world:latest", "hello-world:latest"),
        ("index.docker.io/a/b:1", "docker.io/a/b:1", "a/b:1"),
        ("jupyter/base:2024", "docker.io/jupyter/base:2024", "jupyter/base:2024"),
        ("ghcr.io/a/b/c", "ghcr.io/a/b/c:latest", "ghcr.io/a/b/c:latest"),
        ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
        ("localhost:5000/a", "localhost:5000/a:latest", "localhost:5000/a:latest"),
        ("127.0.0.1:5000/a:b", "127.0.0.1:5000/a:b", "127.0.0.1:5000/a:b"),
        ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
        ("hub.localhost/tools", "hub.localhost/tools:latest", "hub.localhost/tools:latest"),
        ("Registry/a", "Registry/a:latest", "Registry/a:latest"),
        ("a__b.c-d---e", "docker.io/library/a__b.c-d---e:latest", "a__b.c-d---e:latest"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}", f"busybox@{DIGEST}"),
        (
            f"busybox:1@{DIGEST}",
            f"docker.io/library/busybox:1@{DIGEST}",
            f"busybox:1@{DIGEST}",
        ),
    ],
)
def test_a_reference_has_a_full_and_a_familiar_form(text: str, full: str, familiar: str) -> None:
    reference = parse_reference(text)

    assert str(reference) == full
    assert reference.familiar == familiar
    assert parse_reference(full) == reference
    assert parse_reference(familiar) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":tag",
        "UPPER",
        "a/UPPER",
        "a//b",
        "/a",
        "a/",
        "-a",
        "a-",
        "a..b",
        "a___b",
        "a:",
        "a:-tag",
        "a:" + "t" * 129,
        "a b",
        "a\n",
        "ä",
        "a@",
        "a@sha256:" + "ab" * 31,
        "a@sha256:" + "AB" * 32,
        "a@sha512:" + "ab" * 64,
        "a@md5:" + "ab" * 16,
        "host:port/a",
        "-host.com/a",
        "[::1/a",
        "../a",
        "a/../b",
        "http://host/a",
        "ab" * 32,
        "a" * 256,
    ],
)
def test_text_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(BadReference, match="invalid reference format"):
        parse_reference(text)


def test_upper_case_is_named_as_the_reason() -> None:
    with pytest.raises(BadReference, match="repository name must be lowercase"):
        parse_reference("Busybox")


def test_a_digest_wins_over_a_tag() -> None:
    assert parse_reference(f"busybox:1@{DIGEST}").target == DIGEST
    assert parse_reference("busybox:1").target == "1"


@pytest.mark.parametrize(("text", "answer"), [("ab12", True), (DIGEST, True), ("abz", False)])
def test_image_ids_are_told_from_names(text: str, answer: bool) -> None:  # noqa: FBT001
    assert is_image_id(text) is answer


@pytest.mark.parametrize(
    ("text", "registry"),
    [
        ("", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        (" LAB:5000 ", "lab:5000"),
        ("http://lab:5000", "lab:5000"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_registries_have_one_name(text: str, registry: str) -> None:
    assert parse_registry(text) == registry


@pytest.mark.parametrize("text", ["a b", "user@lab", "ftp://lab", "lab:port", "lab?x", ".."])
def test_what_is_no_registry_is_refused(text: str) -> None:
    with pytest.raises(BadReference, match="invalid registry"):
        parse_registry(text)
