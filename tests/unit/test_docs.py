"""What the docs say is there is there: generated parts, links, magics, paths in backticks."""

import re
import tomllib
from pathlib import Path

import pytest

from dockerlab.hub.builtin import builtin_images
from dockerlab.notebook.commands import COMMANDS
from scripts.reference import README, renew

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted(
    [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("benchmarks/*.md")]
)


def _name(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def test_the_table_of_magics_is_up_to_date() -> None:
    text = README.read_text(encoding="utf-8")

    assert renew(text) == text


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_files_that_a_page_names_exist(page: Path) -> None:
    """A path with a suffix, in backticks, is a file of the checkout or of the package."""
    text = page.read_text(encoding="utf-8")
    tops = "dockerlab|tests|scripts|docs|benchmarks|notebooks"
    named = re.findall(rf"`((?:{tops})/[\w/.-]+\.\w+)`", text)
    rooms = "daemon|engine|client|runtime|image|oci|kernel|hub|notebook|report|bench"
    inside = re.findall(rf"`((?:{rooms})/[\w/]+\.py)`", text)

    assert [path for path in named if not (CHECKOUT / path).exists()] == []
    assert [path for path in inside if not (CHECKOUT / "dockerlab" / path).exists()] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_magic_has_help_with_its_examples(name: str) -> None:
    command = COMMANDS[name]

    assert command.examples
    assert all(example in command.help() for example in command.examples)


def test_the_version_is_one() -> None:
    import dockerlab

    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))

    assert project["project"]["version"] == dockerlab.__version__


def test_the_journey_of_a_pull_has_the_digests_of_the_built_in_image() -> None:
    page = (CHECKOUT / "docs" / "journey-of-a-pull.md").read_text(encoding="utf-8")
    image = builtin_images()["library/hello-world"]

    told = set(re.findall(r"sha256:[0-9a-f]{64}", page))

    blobs = {image.index.digest, *image.manifests, *image.blobs}
    assert len(told - blobs) == 1  # the diffID, which is of the uncompressed archive
