"""Facts are dictionaries that can be read when they are shown."""

import json
from typing import Any

from IPython.core.formatters import DisplayFormatter

from dockerlab.client.engines import EngineState, KnownEngine
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

    assert EngineFacts({}).engines.empty
    assert data["text/plain"] == "engine  ours\nAPI     <1.45>"
    assert "&lt;1.45&gt;" in data["text/html"]


def test_the_engines_there_are_stand_below() -> None:
    known = KnownEngine(name="docker", address="unix:///d.sock", origin="Docker's usual socket")
    states = [EngineState(known=known, is_reachable=True, engine="docker", version="20.10")]

    facts = EngineFacts({"engine": "docker 20.10"}, engines=states, in_use="unix:///d.sock")
    text = shown(facts)["text/plain"].splitlines()

    assert text[2].split()[:5] == ["NAME", "IN", "USE", "REACHABLE", "ENGINE"]
    assert text[3].split()[:3] == ["docker", "✔", "✔"]
    assert facts.engines["is_reachable"].tolist() == [True]
