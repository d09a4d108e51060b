"""Image configs from strangers."""

import json

import pytest

from dockerlab.errors import InvalidArgument
from dockerlab.oci.imageconfig import MAX_CONFIG_BYTES, parse_image_config

DIGEST = "sha256:" + "ab" * 32


def test_a_config_as_docker_writes_it_is_read() -> None:
    document = {
        "architecture": "amd64",
        "config": {
            "Env": ["PATH=/bin"],
            "Cmd": ["/hello"],
            "Entrypoint": None,
            "ExposedPorts": {"80/tcp": {}},
            "Labels": None,
            "OnBuild": None,
        },
        "container": "what builders leave behind",
        "created": "2023-05-02T16:49:27Z",
        "history": [{"created_by": "/bin/sh -c #(nop) CMD", "empty_layer": True}],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    }

    config = parse_image_config(json.dumps(document).encode(), "x")

    assert config.config is not None
    assert config.config.cmd == ("/hello",)
    assert config.config.entrypoint is None
    assert config.rootfs.diff_ids == (DIGEST,)
    assert config.history is not None
    assert config.history[0].empty_layer


def test_an_empty_document_has_the_defaults() -> None:
    config = parse_image_config(b"{}", "x")

    assert config.os == "linux"
    assert config.rootfs.diff_ids == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"config": []}',
        b'{"config": {"Env": "PATH=/bin"}}',
        b'{"rootfs": {"diff_ids": ["sha256:../../etc"]}}',
        b'{"config": ' * 100_000,
        b" " * MAX_CONFIG_BYTES + b"{}",
    ],
)
def test_what_is_no_config_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument, match='config of "x"'):
        parse_image_config(data, "x")
