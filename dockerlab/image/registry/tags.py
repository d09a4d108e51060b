"""The tags of a repository, page by page, as a registry lists them; nothing of it is believed.

See distribution-spec/spec.md#listing-tags and RFC 8288 for the header that leads to the next page.
"""

import re
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import msgspec

from dockerlab.errors import BadReference, Unavailable
from dockerlab.oci.reference import parse_reference

__all__ = ["MAX_TAGS", "all_tags"]

MAX_TAGS = 10_000
_MAX_PAGES = 1000
_NEXT = re.compile(r'<([^>]{1,4000})>\s*;\s*rel="?next"?')

# Address -> the body of its answer, and what its header ``Link`` says.
Fetch = Callable[[str], tuple[bytes, str]]


class _Page(msgspec.Struct, frozen=True):
    tags: tuple[str, ...] | None = None


def all_tags(fetch: Fetch, url: str, name: str) -> list[str]:
    """Return the tags in the registry's order, each once.

    Parameters
    ----------
    fetch : callable
        Asks for a page.
    url : str
        The first page.
    name : str
        The repository, for messages.

    Raises
    ------
    Unavailable
        What it lists are no tags, more than `MAX_TAGS`, or it leads to another server.
    """
    found: dict[str, None] = {}
    for _ in range(_MAX_PAGES):
        data, link = fetch(url)
        try:
            page = msgspec.json.decode(data, type=_Page)
        except (msgspec.MsgspecError, RecursionError) as exc:
            raise Unavailable(f'the list of tags of "{name}" is not valid: {exc}') from exc
        before = len(found)
        found |= dict.fromkeys(page.tags or ())
        if len(found) > MAX_TAGS:
            raise Unavailable(f'"{name}" has more than {MAX_TAGS} tags', "pull them one by one")
        following = _NEXT.search(link)
        if following is None or len(found) == before:
            return [_checked(tag) for tag in found]
        target = urljoin(url, following[1])
        if urlsplit(target)[:3] != urlsplit(url)[:3]:
            raise Unavailable(f'the list of tags of "{name}" goes on elsewhere: refused')
        url = target
    raise Unavailable(f'the list of tags of "{name}" does not end')


def _checked(tag: str) -> str:
    try:
        if parse_reference(f"x:{tag}").tag == tag:
            return tag
    except BadReference:
        pass
    raise Unavailable(f'the registry lists "{tag[:100]!r}", which is no tag')
