"""What `%inspect` and `%engine` return: a dictionary that is readable when it is shown."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockerlab.client.engines import EngineState
    from dockerlab.report.tables import Table

__all__ = ["EngineFacts", "Facts"]

_STYLE = (
    "<style>.dockerlab-facts td {border: 0; padding: .25em 1em .25em 0}"
    " .dockerlab-facts td:first-child {color: var(--jp-ui-font-color2, inherit)}</style>"
)
# Here and not in the style, which a notebook that is not trusted yet is shown without.
_CELL = '<td style="text-align: left">'


class Facts(dict[str, Any]):
    """The engine's own JSON of one object: a tree in JupyterLab, indented text elsewhere."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001 - IPython's
        printer.text(json.dumps(self, indent=2, ensure_ascii=False, default=str))

    def _repr_json_(self) -> dict[str, Any]:
        return dict(self)


class EngineFacts(dict[str, Any]):
    """Facts about an engine, one a line.

    Parameters
    ----------
    facts : mapping
        What is known of it.
    engines : sequence of EngineState, optional
        The engines there are to choose from, shown below.
    in_use : str
        Address of the one that the facts are about.
    """

    def __init__(
        self,
        facts: Mapping[str, Any],
        engines: "Sequence[EngineState]" = (),
        in_use: str = "",
    ) -> None:
        super().__init__(facts)
        self._states = tuple(engines)
        self._in_use = in_use

    @property
    def engines(self) -> "Table":
        """The engines there are to choose from, as a DataFrame; no rows after a choice."""
        from dockerlab.report.listings import engine_table

        return engine_table(self._states, in_use=self._in_use)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001 - IPython's
        width = max((len(name) for name in self), default=0)
        lines = [f"{name:<{width}}  {value}" for name, value in self.items()]
        if self._states:
            lines += ["", repr(self.engines)]
        printer.text("\n".join(lines))

    def _repr_html_(self) -> str:
        return _table(self) + (self.engines._repr_html_() if self._states else "")


def _table(facts: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr>{_CELL}{html.escape(name)}</td>{_CELL}{html.escape(str(value))}</td></tr>"
        for name, value in facts.items()
    )
    return f'<div class="dockerlab-facts">{_STYLE}<table>{rows}</table></div>'
