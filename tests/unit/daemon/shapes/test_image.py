import msgspec

from dockerlab.daemon.shapes.image import history_line, inspection, progress_line, removal, summary
from dockerlab.engine.image import ImageHistory, ImageRemoval, PullProgress
from tests.unit.daemon.memory import NOW, make_image


def test_a_line_of_the_list() -> None:
    shape = summary(make_image("hello"), container_count=-1)
    assert shape["RepoTags"] == ["hello:latest"]
    assert (shape["Size"], shape["Containers"], shape["SharedSize"]) == (1_234_567, -1, -1)
    assert shape["Labels"] == {"of": "hello"}


def test_an_inspection_has_the_run_config_and_the_layers() -> None:
    image = make_image("hello")
    shape = msgspec.json.decode(msgspec.json.encode(inspection(image)))
    assert shape["Config"]["Cmd"] == ["echo", "hello"]
    assert shape["Config"]["Entrypoint"] is None
    assert shape["Config"]["Labels"] == {"of": "hello"}
    assert shape["RootFS"] == {"Type": "layers", "Layers": list(image.config.rootfs.diff_ids)}
    assert shape["Created"] == "2026-01-31T12:00:00.12Z"
    assert (shape["Os"], shape["Architecture"]) == ("linux", "amd64")


def test_progress_has_numbers_and_a_bar() -> None:
    half = progress_line(PullProgress(status="Downloading", id="a", current=50, total=100))
    assert half["progressDetail"] == {"current": 50, "total": 100}
    assert half["progress"] == f"[{'=' * 25}>{' ' * 25}] 50B/100B"
    whole = progress_line(PullProgress(status="Extracting", id="a", current=100, total=100))
    assert whole["progress"] == f"[{'=' * 50}>] 100B/100B"
    unknown = progress_line(PullProgress(status="Downloading", id="a", current=7))
    assert unknown["progress"] == "7B"
    assert progress_line(PullProgress(status="Digest: x")) == {"status": "Digest: x"}


def test_history_without_an_image_is_missing() -> None:
    line = ImageHistory(id="", created_at=NOW, created_by="RUN x", size_bytes=1, comment="")
    assert history_line(line)["Id"] == "<missing>"
    assert history_line(line)["Tags"] is None


def test_removals_are_told_apart() -> None:
    assert removal(ImageRemoval(action="untagged", what="a:1")) == {"Untagged": "a:1"}
    assert removal(ImageRemoval(action="deleted", what="sha256:a")) == {"Deleted": "sha256:a"}
