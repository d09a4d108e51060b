"""Each hostile input: one clear error or no effect, the engine alive, nothing outside or left."""

import re
from collections.abc import Iterator

import pytest

from tests.hostile.cases import CASES
from tests.hostile.making import Case
from tests.hostile.page import PAGE, row
from tests.hostile.pulling import attempt
from tests.support.engine import EngineUnderTest, running_engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_namespaces, pytest.mark.needs_overlay]


@pytest.fixture(scope="module")
def store() -> Iterator[EngineUnderTest]:
    with running_engine() as started:
        yield started


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_input_does_no_harm(case: Case, store: EngineUnderTest) -> None:
    outcome = attempt(store, case)
    assert outcome.faults == ()
    assert bool(outcome.error) == bool(case.says)
    assert re.search(case.says, outcome.error), outcome.error
    page = PAGE.read_text(encoding="utf-8").splitlines()
    assert row(case.name, outcome) in page, "run: python -m tests.hostile"


def test_no_input_has_the_name_of_another() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
