"""Facts are dictionaries that can be read when they are shown."""

import json
from typing import Any

from IPython.core.formatters import DisplayFormatter

from dockerlab.notebook.facts import EngineFacts, Facts


def shown(value: object) -> dict[str, Any]:
    formatter: Any = DisplayFormatter()
    data, _ = formatter.format(value)
    return dict(data)


def test_facts_are_shown_as_json_text_and_as_data() -> None:
    data = shown(Facts({"Id": "abc", "Tags": ["a"]}))

    assert json.loads(data["text/plain"]) == {"Id": "abc", "Tags": ["a"]}
    assert data["application/json"] == {"Id": "abc", "Tags": ["a"]}


def test_engine_facts_are_one_a_line_and_escaped() -> None:
    data = shown(EngineFacts({"engine": "ours", "API": "<1.45>"}))

    assert data["text/plain"] == "engine  ours\nAPI     <1.45>"
    assert "&lt;1.45&gt;" in data["text/html"]
