"""The doctor's report as a table."""

from typing import Any

from dockerlab.report.abilities import ability_table

REPORT: dict[str, Any] = {
    "tier": {"name": "rootless", "reason": "uid 7 is not root", "gives": "most"},
    "abilities": [
        {"title": "namespaces", "ok": True, "reason": "fine", "errno": "", "remedy": ""},
        {"title": "limits", "ok": False, "reason": "<no>", "errno": "EROFS", "remedy": "remount"},
    ],
}


def test_the_answers_are_booleans_and_shown_as_marks() -> None:
    table = ability_table(REPORT)

    assert table["can"].tolist() == [True, False]
    assert str(table.dtypes["can"]) == "boolean"
    assert table[~table["can"]]["errno"].tolist() == ["EROFS"]
    assert repr(table).splitlines() == [
        "ABILITY      CAN   REASON   ERRNO   REMEDY",
        "namespaces   ✔     fine",
        "limits       ✘     <no>     EROFS   remount",
        "tier rootless (uid 7 is not root): most",
    ]


def test_sentences_may_wrap_and_are_escaped() -> None:
    page = ability_table(REPORT)._repr_html_()

    assert '<td class="sentence" style="text-align: left">&lt;no&gt;</td>' in page
    assert '<td class="text" style="text-align: left">✘</td>' in page
