"""Variables and quotes (Dockerfile reference, "Environment replacement")."""

import pytest

from dockerlab.errors import InvalidArgument
from dockerlab.image.build.words import expand, expand_words, split_quoted

VARIABLES = {"x": "abc.tar.gz", "empty": "", "two": "a b", "foo": "/bar"}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("$x", "abc.tar.gz"),
        ("${x}", "abc.tar.gz"),
        ("${foo}/y", "/bar/y"),
        ("$foobar", ""),
        ("\\$foo", "$foo"),
        ("\\${foo}", "${foo}"),
        ("'$foo'", "$foo"),
        ('"$foo \\$foo"', "/bar $foo"),
        ('"a\\b\\\\"', "a\\b\\"),
        ("a\\ b", "a b"),
        ("a$", "a$"),
        ("$1x", "x"),
        ("${none:-y}", "y"),
        ("${none:-$foo}", "/bar"),
        ('${none:-"a b"}', "a b"),
        ("${empty:-y}", "y"),
        ("${empty-y}", ""),
        ("${none-y}", "y"),
        ("${foo:+y}", "y"),
        ("${none:+y}", ""),
        ("${empty:+y}", ""),
        ("${empty+y}", "y"),
        ("${foo:?why}", "/bar"),
        ("${x#*.}", "tar.gz"),
        ("${x##*.}", "gz"),
        ("${x%.*}", "abc.tar"),
        ("${x%%.*}", "abc"),
        ("${x#nothing}", "abc.tar.gz"),
        ("${x/a/A}", "Abc.tar.gz"),
        ("${x//./_}", "abc_tar_gz"),
        ("${x//a?/-}", "-c.t-.gz"),
        ("/${none:-a}/${none:-b}", "/a/b"),
    ],
)
def test_variables_become_their_values(word: str, value: str) -> None:
    assert expand(word, VARIABLES) == value


def test_the_escape_character_is_the_directives() -> None:
    assert expand("c:\\a`$x", VARIABLES, "`") == "c:\\a$x"


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("'a", "matching single-quote"),
        ('"a', "matching double-quote"),
        ("${x", "missing"),
        ("${x:-a", "matching }"),
        ("${x^y}", "unsupported modifier"),
        ("${}", "bad substitution"),
        ("${none:?it is needed}", "none: it is needed"),
        ("${x//*a*/}", "more than one"),
    ],
)
def test_what_cannot_be_expanded_is_refused(word: str, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        expand(word, VARIABLES)


def test_values_cannot_grow_without_bound() -> None:
    with pytest.raises(InvalidArgument, match="longer than"):
        expand("$a$a", {"a": "x" * (1 << 20)})
    with pytest.raises(InvalidArgument, match="is not searched"):
        expand("${a##*b*c*d}", {"a": "x" * 5000})


def test_words_part_at_blanks_that_are_not_quoted() -> None:
    assert expand_words("a $two \"$two\" '' b\\ c", VARIABLES) == ["a", "a", "b", "a b", "", "b c"]


def test_quoted_words_keep_their_quotes() -> None:
    assert split_quoted("a=\"b c\" d=e\\ f 'g h'=i") == ['a="b c"', "d=e\\ f", "'g h'=i"]
