"""Manifests and indexes from strangers: one value, or one clear error."""

import json
from typing import Any

import pytest

from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.oci.descriptor import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from dockerlab.oci.manifest import MAX_LAYERS, MAX_MANIFEST_BYTES, Index, Manifest, parse_manifest

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def _descriptor(media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": "sha256:" + "ab" * 32, "size": 1, **more}


def _manifest(layers: int = 1, **more: Any) -> dict[str, Any]:
    config = _descriptor("application/vnd.oci.image.config.v1+json")
    return {"schemaVersion": 2, "config": config, "layers": [_descriptor(LAYER)] * layers, **more}


def _index(**more: Any) -> dict[str, Any]:
    platform = {"os": "linux", "architecture": "amd64"}
    manifests = [_descriptor(OCI_MANIFEST, platform=platform)]
    return {"schemaVersion": 2, "manifests": manifests, **more}


def _parse(document: object, media_type: str = "") -> Manifest | Index:
    return parse_manifest(json.dumps(document).encode(), media_type, "name")


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST, "", "application/json"])
def test_a_manifest_is_read_by_its_type_or_its_shape(media_type: str) -> None:
    manifest = _parse(_manifest(layers=2), media_type)

    assert isinstance(manifest, Manifest)
    assert [layer.size for layer in manifest.layers] == [1, 1]


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_INDEX, "", f"{OCI_INDEX}; charset=utf-8"])
def test_an_index_is_read_by_its_type_or_its_shape(media_type: str) -> None:
    index = _parse(_index(), media_type)

    assert isinstance(index, Index)
    assert str(index.manifests[0].platform) == "linux/amd64"


def test_fields_that_nobody_knows_are_passed_over() -> None:
    assert isinstance(_parse(_manifest(subject={"x": 1}, artifactType="a")), Manifest)


@pytest.mark.parametrize(
    ("document", "media_type"),
    [
        (_manifest(manifests=[]), OCI_MANIFEST),  # CVE-2021-41190
        (_index(layers=[]), OCI_INDEX),
        (_manifest(mediaType=OCI_INDEX), OCI_MANIFEST),
        (_manifest(), OCI_INDEX),
        (_index(), OCI_MANIFEST),
        ([], OCI_MANIFEST),
        ({}, OCI_MANIFEST),
        (_manifest(layers=MAX_LAYERS + 1), OCI_MANIFEST),
        (_manifest(config=_descriptor("x", digest="sha256:../..")), OCI_MANIFEST),
        (_manifest(config=_descriptor("x", size=-1)), OCI_MANIFEST),
        (_manifest(config=_descriptor("x", size=1.5)), OCI_MANIFEST),
    ],
)
def test_a_document_that_cannot_be_right_is_refused(document: object, media_type: str) -> None:
    with pytest.raises(InvalidArgument, match=r'manifest of "name"|"name" has'):
        _parse(document, media_type)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"[" * 100_000, b" " * MAX_MANIFEST_BYTES + b"{}"]
)
def test_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        parse_manifest(data, OCI_MANIFEST, "name")


@pytest.mark.parametrize(
    "layer",
    [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.wasm.content.layer.v1+wasm",
    ],
)
def test_a_layer_that_is_not_ours_to_unpack_is_refused(layer: str) -> None:
    with pytest.raises(Unsupported):
        _parse(_manifest() | {"layers": [_descriptor(layer)]})


def test_schema_1_is_refused_with_what_to_do() -> None:
    with pytest.raises(Unsupported) as refused:
        parse_manifest(b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws", "old")

    assert "push the image again" in refused.value.hint
