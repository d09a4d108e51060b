import json
from collections.abc import Mapping

import pytest

from dockerlab.errors import Unavailable
from dockerlab.image.registry.tags import all_tags

URL = "http://registry.example/v2/app/tags/list"


def listed(pages: Mapping[str, tuple[object, str]]) -> list[str]:
    def fetch(url: str) -> tuple[bytes, str]:
        body, link = pages[url]
        return body if isinstance(body, bytes) else json.dumps(body).encode(), link

    return all_tags(fetch, URL, "app")


def test_pages_are_put_together() -> None:
    first = ({"name": "app", "tags": ["1", "2"]}, '</v2/app/tags/list?last=2&n=2>; rel="next"')
    second = ({"tags": ["3", "1"]}, "")
    assert listed({URL: first, f"{URL}?last=2&n=2": second}) == ["1", "2", "3"]
    assert listed({URL: ({"tags": None}, "")}) == []


def test_a_page_that_leads_to_itself_ends() -> None:
    page = ({"tags": ["1"]}, f'<{URL}>; rel="next"')
    assert listed({URL: page}) == ["1"]


@pytest.mark.parametrize(
    ("body", "link", "words"),
    [
        ({"tags": ["../x"]}, "", "which is no tag"),
        ({"tags": ["x@sha256:" + "0" * 64]}, "", "which is no tag"),
        ({"tags": "1"}, "", "is not valid"),
        (b"[" * 100_000, "", "is not valid"),
        ({"tags": ["1"]}, '<http://other.example/v2/app/tags/list>; rel="next"', "elsewhere"),
        ({"tags": ["1"]}, '</v2/secret/tags/list>; rel="next"', "elsewhere"),
        ({"tags": [str(n) for n in range(10_001)]}, "", "more than 10000 tags"),
    ],
)
def test_what_is_no_list_of_tags_is_refused(body: object, link: str, words: str) -> None:
    with pytest.raises(Unavailable, match=words):
        listed({URL: (body, link)})
