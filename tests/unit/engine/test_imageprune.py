import pytest

from dockerlab.engine.imageprune import images_to_prune
from dockerlab.errors import InvalidArgument
from tests.unit.engine.records import an_image

IMAGES = [
    an_image(1, tags=("busybox:latest",)),
    an_image(2, labels={"stage": "build"}),
    an_image(3, tags=("app:1",), labels={"keep": ""}),
]


def sizes(**filters: list[str]) -> list[int]:
    used = {IMAGES[0].id}
    return [image.size_bytes for image in images_to_prune(IMAGES, filters, used)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [2]),
        ({"dangling": ["true"]}, [2]),
        ({"dangling": ["false"]}, [2, 3]),
        ({"dangling": ["0"], "label!": ["keep"]}, [2]),
        ({"label": ["stage=test"]}, []),
        ({"dangling": ["false"], "until": ["2000-01-01"]}, []),
    ],
)
def test_what_no_container_has_and_the_filters_admit_goes(
    filters: dict[str, list[str]], expected: list[int]
) -> None:
    assert sizes(**filters) == expected


@pytest.mark.parametrize("filters", [{"name": ["x"]}, {"dangling": ["maybe"]}])
def test_other_filters_are_refused(filters: dict[str, list[str]]) -> None:
    with pytest.raises(InvalidArgument, match="invalid filter"):
        sizes(**filters)
