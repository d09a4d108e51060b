"""Lines are read as the Docker CLI's own parser reads them."""

import pytest

from dockerlab.errors import InvalidArgument
from dockerlab.notebook.commands import COMPARE_RUNS, PS, PULL, RUN
from dockerlab.notebook.options import Command, Option


def test_long_flags_take_a_value_with_and_without_an_equals_sign() -> None:
    assert RUN.parse("--name one image").text("name") == "one"
    assert RUN.parse("--name=one image").text("name") == "one"


def test_short_flags_are_joined_and_may_end_in_a_value() -> None:
    arguments = RUN.parse("-dim64m image")

    assert arguments.flag("detach")
    assert arguments.flag("interactive")
    assert arguments.text("memory") == "64m"


def test_a_short_flags_value_may_follow() -> None:
    assert PS.parse("-n 3").number("last", 0) == 3
    assert PS.parse("-n3").number("last", 0) == 3
    assert PS.parse("-n=3").number("last", 0) == 3


def test_a_list_keeps_every_value_in_order() -> None:
    assert RUN.parse("-e A=1 --env B=2 image").texts("env") == ("A=1", "B=2")


def test_what_follows_the_image_is_the_containers() -> None:
    arguments = RUN.parse('--rm image sh -c "echo --rm -t" --name x')

    assert arguments.operands == ("image", "sh", "-c", "echo --rm -t", "--name", "x")
    assert arguments.text("name") == ""


def test_flags_of_other_commands_may_follow_the_operand() -> None:
    arguments = COMPARE_RUNS.parse("hello-world -n 10 -- sh -c true")

    assert arguments.operands == ("hello-world", "sh", "-c", "true")
    assert arguments.number("runs", 0) == 10


def test_switches_can_be_turned_off() -> None:
    assert not RUN.parse("--rm=false image").flag("rm")
    with pytest.raises(InvalidArgument, match="--rm"):
        RUN.parse("--rm=maybe image")


def test_an_unknown_flag_is_compared_with_the_known_ones() -> None:
    with pytest.raises(InvalidArgument, match="unknown flag: --memroy") as caught:
        RUN.parse("--memroy 5m image")

    assert caught.value.hint == "did you mean --memory?"


def test_an_unknown_flag_unlike_any_points_to_the_help() -> None:
    with pytest.raises(InvalidArgument) as caught:
        PULL.parse("-z image")

    assert caught.value.hint == "see %pull?"


@pytest.mark.parametrize("flag", ["-t", "--tty", "-it"])
def test_a_terminal_is_refused_with_what_to_do(flag: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        RUN.parse(f"{flag} image")

    assert "%%run_container" in caught.value.hint


@pytest.mark.parametrize(
    ("command", "line", "message"),
    [
        (PULL, "", "exactly 1 argument"),
        (PULL, "a b", "at most 1 argument"),
        (RUN, "-d", "at least 1 argument"),
        (PS, "a", "no arguments"),
        (RUN, "--name", "needs an argument: --name"),
        (RUN, 'image "open', "no closing quotation"),
        (PS, "-n many", 'invalid number "many"'),
    ],
)
def test_a_line_that_cannot_be_right_is_refused(command: Command, line: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        command.parse(line).number("last", 0)


def test_the_semicolon_that_silences_is_no_argument() -> None:
    assert PULL.parse("image;").operands == ("image",)
    assert PS.parse("-a ;").operands == ()


def test_help_is_asked_for_without_the_operands() -> None:
    assert PULL.parse("--help").flag("help")


def test_the_help_shows_usage_options_and_examples() -> None:
    command = Command(
        name="weigh",
        summary="Weigh a thing.",
        operands="THING",
        options=(Option(name="unit", short="u", metavar="UNIT", help="of the scale"),),
        examples=("%weigh it", "%weigh -u kg it"),
    )

    assert command.help().splitlines() == [
        "Weigh a thing.",
        "",
        "Usage: %weigh [OPTIONS] THING",
        "",
        "Options",
        "-------",
        "  -u, --unit UNIT           of the scale",
        "",
        "Examples",
        "--------",
        "  %weigh it",
        "  %weigh -u kg it",
    ]
