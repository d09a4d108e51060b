"""What travels between the daemon and the service."""

import msgspec
import pytest

from dockerlab.errors import Conflict, DockerlabError, EngineFailure
from dockerlab.network.messages import ErrorBody, SandboxPlan, error_body, error_of


def test_an_error_arrives_as_its_kind_with_its_hint() -> None:
    travelled = error_of(error_body(Conflict("taken", "choose another")))
    assert type(travelled) is Conflict
    assert (travelled.message, travelled.hint) == ("taken", "choose another")


def test_any_other_error_arrives_as_a_failure() -> None:
    assert type(error_of(error_body(KeyError("x")))) is EngineFailure


@pytest.mark.parametrize("kind", ["Nonsense", "annotations", "__doc__", "DockerlabError"])
def test_a_kind_that_is_none_is_a_failure(kind: str) -> None:
    error = error_of(ErrorBody(kind=kind, message="text"))
    assert isinstance(error, DockerlabError)
    assert error.message == "text"


def test_a_plan_without_a_name_server_differs_from_one_without_upstreams() -> None:
    for upstreams in (None, (), ("192.0.2.1",)):
        plan = SandboxPlan(id="a", endpoints=(), upstreams=upstreams)
        assert msgspec.json.decode(msgspec.json.encode(plan), type=SandboxPlan) == plan
