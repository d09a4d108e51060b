"""`Table`: a pandas DataFrame that shows its numbers in human units.

It is a real DataFrame: the dtypes are numbers, times and categories, and every operation of pandas
gives another `Table`. Only the two forms that Jupyter asks for are ours, HTML and text.
"""

import html
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from dockerlab.report.cells import heading, shown, title

__all__ = ["Table"]

# Theme-neutral: JupyterLab's own variables, and what fits any background where they are missing.
# Nothing sets a background that the text would not contrast with. A notebook that is not trusted
# yet is shown without this, so what must hold there too stands at the cells themselves.
STYLE = """<style>
.dockerlab table {border-collapse: collapse; font-size: var(--jp-ui-font-size1, 13px);
  color: var(--jp-ui-font-color1, inherit);}
.dockerlab th, .dockerlab td {padding: .25em .9em .25em 0;
  white-space: nowrap; max-width: 36em; overflow: hidden; text-overflow: ellipsis;
  border: 0; border-bottom: 1px solid var(--jp-border-color2, rgba(128, 128, 128, .35));}
.dockerlab th {font-weight: 600; color: var(--jp-ui-font-color2, inherit);}
.dockerlab td.number {font-variant-numeric: tabular-nums;}
.dockerlab td.id {font-family: var(--jp-code-font-family, monospace);}
.dockerlab td.sentence {white-space: normal;}
.dockerlab caption {caption-side: bottom; text-align: left; padding-top: .4em;
  color: var(--jp-ui-font-color2, inherit);}
</style>"""
ALIGNED = {"text": "left", "id": "left", "sentence": "left", "number": "right"}


class Table(pd.DataFrame):
    """A DataFrame that is shown with human units; see `report.cells` for the rule.

    Notes
    -----
    Its `attrs` say how it is shown: `rows` is the word for what its rows are, `caption` a sentence
    below it, the columns named in `folded` are said once below it while they do not vary, and with
    `is_whole` no row is left out.
    """

    @property
    def _constructor(self) -> Callable[..., "Table"]:
        return Table

    def __repr__(self) -> str:
        if self.empty:
            return self._empty_sentence()
        page, caption = self._page()
        text = _as_text(page)
        return f"{text}\n{caption}" if caption else text

    def _repr_html_(self) -> str:
        if self.empty:
            return f'<div class="dockerlab">{html.escape(self._empty_sentence())}</div>'
        page, caption = self._page()
        return _as_html(page, caption)

    def _page(self) -> tuple[pd.DataFrame, str]:
        """Return what is shown as a table, and what is said below it."""
        limit = int(pd.get_option("display.max_rows") or len(self))
        if self.attrs.get("is_whole"):
            limit = len(self)
        plain = pd.DataFrame(self)
        if _is_named(plain.index):
            plain = plain.reset_index()
        notes = [self.attrs["caption"]] if "caption" in self.attrs else []
        same = [
            name
            for name in self.attrs.get("folded", ())
            if name in plain.columns and len(plain[name].unique()) == 1
        ]
        if same:
            notes.append(
                "in all rows: " + ", ".join(f"{name} {plain[name].iloc[0]}" for name in same)
            )
            plain = plain.drop(columns=same)
        if len(plain) > limit:
            notes.append(f"the first {limit} of {len(plain)} rows")
            plain = plain.head(limit)
        return plain, "; ".join(notes)

    def _empty_sentence(self) -> str:
        return f"no {self.attrs.get('rows', 'rows')}"


def _is_named(index: pd.Index) -> bool:
    """Tell whether an index says something: one that a filter or a sort left is just numbers."""
    return any(name is not None for name in index.names)


def _as_text(frame: pd.DataFrame) -> str:
    """Lay the table out as the Docker CLI does: capitals above, three blanks between."""
    now = datetime.now(UTC)
    columns = [
        [heading(name).upper(), *(shown(name, value, now) for value in frame[name])]
        for name in frame.columns
    ]
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]
    return "\n".join(lines)


def _as_html(frame: pd.DataFrame, caption: str) -> str:
    now = datetime.now(UTC)
    kinds = {name: _kind(name, frame[name]) for name in frame.columns}
    head = "".join(
        f'<th scope="col" style="text-align: {ALIGNED[kind]}">{html.escape(heading(name))}</th>'
        for name, kind in kinds.items()
    )
    rows = "".join(
        "<tr>"
        + "".join(
            _cell(name, value, kinds[name], now)
            for name, value in zip(frame.columns, row, strict=True)
        )
        + "</tr>"
        for row in frame.itertuples(index=False, name=None)
    )
    foot = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="dockerlab">{STYLE}<table>{foot}'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _kind(name: Hashable, column: "pd.Series[Any]") -> str:
    if str(name).endswith("_id") or name in {"id", "layer"}:
        return "id"
    if name in {"reason", "remedy"}:
        return "sentence"
    is_number = pd.api.types.is_numeric_dtype(column.dtype)
    return "number" if is_number and not pd.api.types.is_bool_dtype(column.dtype) else "text"


def _cell(name: Hashable, value: object, kind: str, now: datetime) -> str:
    text = html.escape(shown(name, value, now))
    exact = html.escape(title(name, value), quote=True)
    hover = f' title="{exact}"' if exact else ""
    return f'<td class="{kind}" style="text-align: {ALIGNED[kind]}"{hover}>{text}</td>'
