import pytest

from dockerlab.errors import BadDigest, DockerlabError, EngineFailure, InvalidArgument
from dockerlab.image.registry.unpacking import Unpacked, unpacked_from_report


def test_a_good_report_is_a_value() -> None:
    line = b'{"ok":true,"entries":3,"size_bytes":5,"begin_s":1.5,"end_s":2.5,"more":1}\n'
    expected = Unpacked(entries=3, size_bytes=5, begin_s=1.5, end_s=2.5)
    assert unpacked_from_report(line) == expected


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("digest", BadDigest),
        ("tar", InvalidArgument),
        ("limit", InvalidArgument),
        ("space", EngineFailure),
        ("io", EngineFailure),
        ("something new", EngineFailure),
    ],
)
def test_a_bad_one_is_an_error_of_its_kind(kind: str, error: type[DockerlabError]) -> None:
    line = b'{"ok":false,"kind":"%s","error":"why"}' % kind.encode()
    with pytest.raises(error) as caught:
        unpacked_from_report(line)
    assert type(caught.value) is error
    assert caught.value.message == "failed to register layer: why"


@pytest.mark.parametrize("line", [b"", b"null", b'{"ok":true}', b'{"ok":false}', b"[" * 100_000])
def test_what_is_no_report_is_our_own_failure(line: bytes) -> None:
    with pytest.raises(EngineFailure, match="report is damaged"):
        unpacked_from_report(line)
