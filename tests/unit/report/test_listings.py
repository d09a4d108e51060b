"""The API's lists become tables whose dtypes do not depend on what is in them."""

from typing import Any

import pandas as pd
import pytest

from dockerlab.report.listings import container_table, history_table, image_table

IMAGE: dict[str, Any] = {
    "Id": "sha256:" + "a" * 64,
    "RepoTags": ["hello-world:latest", "127.0.0.1:5000/hello:1"],
    "RepoDigests": ["hello-world@sha256:" + "d" * 64],
    "Created": 1_700_000_000,
    "Size": 1175,
}
CONTAINER: dict[str, Any] = {
    "Id": "c" * 64,
    "Names": ["/happy_hopper"],
    "Image": "hello-world",
    "ImageID": IMAGE["Id"],
    "Command": "/hello",
    "Created": 1_700_000_000,
    "State": "exited",
    "Status": "Exited (137) 3 minutes ago",
    "Ports": [{"IP": "127.0.0.1", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
    "SizeRw": 8,
}


@pytest.mark.parametrize("images", [[], [IMAGE]])
def test_dtypes_of_images_are_always_the_same(images: list[dict[str, Any]]) -> None:
    assert image_table(images).dtypes.astype(str).to_dict() == {
        "repository": "string",
        "tag": "string",
        "image_id": "string",
        "created_at": "datetime64[us, UTC]",
        "size_bytes": "Int64",
    }


@pytest.mark.parametrize("containers", [[], [CONTAINER]])
def test_dtypes_of_containers_are_always_the_same(containers: list[dict[str, Any]]) -> None:
    dtypes = container_table(containers, with_size=True).dtypes.astype(str)

    assert dtypes["created_at"] == "datetime64[us, UTC]"
    assert dtypes["state"] == "category"
    assert dtypes["exit_code"] == dtypes["size_bytes"] == "Int64"


def test_an_image_has_a_row_for_each_of_its_references() -> None:
    table = image_table([IMAGE], with_digests=True)

    assert table["repository"].tolist() == ["hello-world", "127.0.0.1:5000/hello"]
    assert table["tag"].tolist() == ["latest", "1"]
    assert table["digest"].tolist() == ["sha256:" + "d" * 64, "<none>"]


@pytest.mark.parametrize(
    ("tags", "digests", "row"),
    [
        (None, None, ("<none>", "<none>")),
        (["<none>:<none>"], [], ("<none>", "<none>")),
        ([], ["busybox@sha256:" + "d" * 64], ("busybox", "<none>")),
    ],
)
def test_an_image_without_a_tag_has_a_row_too(
    tags: list[str] | None, digests: list[str] | None, row: tuple[str, str]
) -> None:
    table = image_table([{**IMAGE, "RepoTags": tags, "RepoDigests": digests}])

    assert list(table[["repository", "tag"]].itertuples(index=False, name=None)) == [row]


def test_a_container_is_read_out_of_the_api() -> None:
    (row,) = container_table([CONTAINER]).to_dict("records")

    assert row["names"] == "happy_hopper"
    assert row["exit_code"] == 137
    assert row["ports"] == "127.0.0.1:8080->80/tcp"


def test_a_running_container_has_no_exit_code() -> None:
    table = container_table([{**CONTAINER, "State": "running", "Status": "Up 3 minutes"}])

    assert table["exit_code"].isna().all()


def test_a_time_that_the_engine_does_not_know_is_missing() -> None:
    line = {"Id": "<missing>", "Created": -62135596800, "CreatedBy": "", "Size": 0, "Comment": ""}
    table = history_table([line])

    assert table["created_at"].isna().all()
    assert isinstance(table["created_at"].dtype, pd.DatetimeTZDtype)
