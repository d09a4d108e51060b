"""The doctor's report as a table."""

from typing import Any

import pandas as pd

from dockerlab.report.abilities import ability_table

REPORT: dict[str, Any] = {
    "tier": {"name": "rootless", "reason": "uid 7 is not root", "gives": "most"},
    "abilities": [
        {"title": "namespaces", "ok": True, "reason": "fine", "errno": "", "remedy": ""},
        {"title": "limits", "ok": False, "reason": "<no>", "errno": "EROFS", "remedy": "remount"},
    ],
    "features": [
        {"title": "pauses", "options": "pause", "ok": False, "reason": "no", "remedy": "lift"},
    ],
}


def test_the_answers_are_booleans_and_shown_as_marks() -> None:
    table = ability_table(REPORT)

    assert table["can"].tolist() == [True, False, False]
    assert str(table.dtypes["can"]) == "boolean"
    assert table[~table["can"]]["errno"].tolist() == ["EROFS", pd.NA]
    assert table["kind"].tolist() == ["host", "host", "feature"]
    assert repr(table).splitlines() == [
        "KIND      ABILITY      OPTIONS   CAN   REASON   ERRNO   REMEDY",
        "host      namespaces             ✔     fine",
        "host      limits                 ✘     <no>     EROFS   remount",
        "feature   pauses       pause     ✘     no               lift",
        "tier rootless (uid 7 is not root): most",
    ]


def test_sentences_may_wrap_and_are_escaped() -> None:
    page = ability_table(REPORT)._repr_html_()

    assert '<td class="sentence" style="text-align: left">&lt;no&gt;</td>' in page
    assert '<td class="text" style="text-align: left">✘</td>' in page


def test_no_row_is_left_out_however_many_there_are() -> None:
    many = {**REPORT, "features": REPORT["features"] * 100}

    assert repr(ability_table(many)).count("pauses") == 100
