"""The course: both languages have the same code, outputs are there, self-checks help.

That every cell runs is shown by nbval, which pytest collects from `notebooks/`.
"""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pandas as pd
import pytest
from IPython.core.inputtransformer2 import TransformerManager

COURSE = Path(__file__).parents[2] / "notebooks"
LESSONS = sorted(path.name for path in COURSE.glob("*.ipynb"))
LANGUAGES = {"en": COURSE, "ko": COURSE / "ko"}

# What each lesson's self-checks take for right and for wrong.
ANSWERS = {
    "check-1": (1, 10),
    "check-2": ("pull", "create"),
    "check-3": (False, True),
}


def read(language: str, lesson: str) -> Any:
    return nbformat.read(LANGUAGES[language] / lesson, as_version=4)


def cells(language: str, lesson: str, kind: str = "code") -> list[Any]:
    return [cell for cell in read(language, lesson).cells if cell.cell_type == kind]


class _WithoutHints(ast.NodeTransformer):
    """Takes away what is said to the reader: comments are gone already, hints of asserts here."""

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        return ast.Assert(test=node.test, msg=None)


def skeleton(source: str) -> str:
    make_transformer: Any = TransformerManager
    tree = ast.parse(make_transformer().transform_cell(source))
    return ast.dump(_WithoutHints().visit(tree))


@pytest.mark.parametrize("lesson", LESSONS)
def test_both_languages_have_the_same_cells(lesson: str) -> None:
    shapes = [
        [
            (cell.id, cell.cell_type, cell.metadata.get("tags"))
            for cell in read(language, lesson).cells
        ]
        for language in LANGUAGES
    ]

    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("lesson", LESSONS)
def test_both_languages_run_the_same_code(lesson: str) -> None:
    english, korean = (
        [skeleton(cell.source) for cell in cells(language, lesson)] for language in LANGUAGES
    )

    assert english == korean


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_korean_text_is_korean(lesson: str) -> None:
    for cell in cells("ko", lesson, "markdown"):
        assert any("가" <= letter <= "힣" for letter in cell.source), cell.id


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("lesson", LESSONS)
def test_outputs_are_those_of_one_run_from_top_to_bottom(language: str, lesson: str) -> None:
    counts = [cell.execution_count for cell in cells(language, lesson)]
    kinds = {output.output_type for cell in cells(language, lesson) for output in cell.outputs}

    assert counts == list(range(1, len(counts) + 1))
    assert "error" not in kinds


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("lesson", LESSONS)
def test_every_picture_says_what_it_shows(language: str, lesson: str) -> None:
    pictures = [
        output.metadata["image/png"]["alt"]
        for cell in cells(language, lesson)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]

    assert pictures
    assert all("cold takes" in alt for alt in pictures)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("check", ANSWERS)
def test_a_self_check_takes_the_right_answer_and_helps_with_a_wrong_one(
    language: str, check: str
) -> None:
    source = next(c.source for c in cells(language, "01-hello-world.ipynb") if c.id == check)
    names = {
        "first": SimpleNamespace(timeline=pd.DataFrame({"phase": ["lookup", "pull", "create"]})),
        "second": SimpleNamespace(timeline=pd.DataFrame({"phase": ["create"]})),
    }
    right, wrong = ANSWERS[check]

    exec(source, dict(names))
    exec(source.replace("answer = None", f"answer = {right!r}", 1), dict(names))
    with pytest.raises(AssertionError) as caught:
        exec(source.replace("answer = None", f"answer = {wrong!r}", 1), dict(names))
    assert len(str(caught.value)) > 20
