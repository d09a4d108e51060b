"""Every form of every instruction, as the Dockerfile reference has them."""

from typing import Any

import pytest

from dockerlab.errors import InvalidArgument
from dockerlab.image.build import instructions as kinds
from dockerlab.image.build.dockerfile import parse_dockerfile, parse_trigger
from dockerlab.image.build.instructions import Instruction, Words


def one(line: str) -> Any:
    [stage] = parse_dockerfile(f"FROM base\n{line}\n".encode()).stages
    [instruction] = stage.instructions
    return instruction


def shell(text: str) -> Words:
    return Words((text,), is_shell=True)


def words(*texts: str) -> Words:
    return Words(texts, is_shell=False)


@pytest.mark.parametrize(
    ("line", "base", "name", "platform"),
    [
        ("FROM a", "a", "", ""),
        ("from a:1 as Build", "a:1", "build", ""),
        (
            "FROM --platform=linux/arm64 a@sha256:0 AS b-1.x_y",
            "a@sha256:0",
            "b-1.x_y",
            "linux/arm64",
        ),
        ("FROM ${A:-b}:$C", "${A:-b}:$C", "", ""),
    ],
)
def test_from(line: str, base: str, name: str, platform: str) -> None:
    [stage] = parse_dockerfile(line.encode()).stages

    assert (stage.base, stage.name, stage.platform) == (base, name, platform)


def test_arguments_before_the_first_stage_and_stages_in_order() -> None:
    parsed = parse_dockerfile(b"ARG V=1\nFROM a:$V AS x\nRUN b\nFROM x\nCMD c\nFROM scratch\n")

    assert [argument.pairs for argument in parsed.global_args] == [(("V", "1"),)]
    assert [(s.base, len(s.instructions)) for s in parsed.stages] == [
        ("a:$V", 1),
        ("x", 1),
        ("scratch", 0),
    ]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("RUN echo a  b", shell("echo a  b")),
        ('RUN ["a", "b c"]', words("a", "b c")),
        ("RUN ['a']", shell("['a']")),
        ('RUN ["a", 1]', shell('["a", 1]')),
        ('RUN [ "$A" ] || true', shell('[ "$A" ] || true')),
        ("run \\\n a", shell("a")),
    ],
)
def test_run(line: str, command: Words) -> None:
    assert one(line).command == command


def test_run_with_flags_and_a_heredoc() -> None:
    run = one(
        "RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t --network=none <<E\nx\nE"
    )

    assert run.mounts == ("type=cache,target=/c", "type=tmpfs,target=/t")
    assert run.network == "none"
    assert run.heredocs[0].text == "x\n"


@pytest.mark.parametrize("keyword", ["CMD", "ENTRYPOINT"])
def test_commands(keyword: str) -> None:
    assert one(f"{keyword} a b").command == shell("a b")
    assert one(f'{keyword} ["a", "b"]').command == words("a", "b")
    assert one(f"{keyword} []").command == words()
    assert one(f"{keyword} a").is_entrypoint == (keyword == "ENTRYPOINT")


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ("ENV a=b", (("a", "b"),)),
        ('ENV a="b c" d=e\\ f g=h', (("a", '"b c"'), ("d", "e\\ f"), ("g", "h"))),
        ("ENV a b c=d", (("a", "b c=d"),)),
        ("ENV a=", (("a", ""),)),
        ("ENV a=b=c", (("a", "b=c"),)),
        ("LABEL com.example=x", (("com.example", "x"),)),
        ('LABEL "a b"="c" d=\'e f\'', (('"a b"', '"c"'), ("d", "'e f'"))),
    ],
)
def test_names_and_values(line: str, pairs: tuple[tuple[str, str], ...]) -> None:
    assert one(line).pairs == pairs


def test_arg() -> None:
    assert one("ARG a").pairs == (("a", None),)
    assert one('ARG a=1 b c="x y"').pairs == (("a", "1"), ("b", None), ("c", '"x y"'))


def test_copy_and_add() -> None:
    copy = one("COPY --from=build --chown=1:2 --chmod=755 --link a b /c/")

    assert (copy.sources, copy.target) == (("a", "b"), "/c/")
    assert (copy.origin, copy.owner, copy.mode, copy.is_add) == ("build", "1:2", "755", False)
    assert one('COPY ["a b", "c d"]').sources == ("a b",)
    assert one("ADD a.tar /").is_add
    assert one("ADD --chown=u x y").owner == "u"
    assert one("COPY <<a <<b /\n1\na\n2\nb").sources == ("<<a", "<<b")


def test_the_other_instructions() -> None:
    assert one("EXPOSE 80 443/udp $P").ports == ("80", "443/udp", "$P")
    assert one("VOLUME /a /b").paths == ("/a", "/b")
    assert one('VOLUME ["/a b"]').paths == ("/a b",)
    assert one("USER me:us").user == "me:us"
    assert one("WORKDIR /a b").path == "/a b"
    assert one("STOPSIGNAL SIGQUIT").signal == "SIGQUIT"
    assert one('SHELL ["/bin/bash", "-c"]').words == ("/bin/bash", "-c")
    assert one("MAINTAINER A <a@b>").name == "A <a@b>"
    assert one("ONBUILD COPY . /x").trigger == "COPY . /x"
    assert one("ONBUILD RUN <<E\nx\nE").trigger == "RUN <<E\nx\nE"


def test_health_checks() -> None:
    check = one(
        "HEALTHCHECK --interval=5m --timeout=3s --start-period=1s --start-interval=500ms"
        " --retries=2 CMD curl -f / || exit 1"
    )

    assert check.command == shell("curl -f / || exit 1")
    assert (check.interval_ns, check.timeout_ns) == (300_000_000_000, 3_000_000_000)
    assert (check.start_period_ns, check.start_interval_ns) == (1_000_000_000, 500_000_000)
    assert check.retries == 2
    assert one('HEALTHCHECK CMD ["a", "b"]').command == words("a", "b")
    assert one("HEALTHCHECK NONE").command is None


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("", "file with no instructions"),
        ("# only\n", "file with no instructions"),
        ("ARG a", "no build stage in current context"),
        ("RUN a", "line 1: no build stage in current context"),
        ("FROM a\n\nFOO b", "line 3: unknown instruction: FOO"),
        ("FROM", "either one or three"),
        ("FROM a b", "either one or three"),
        ("FROM a AS 1b", "invalid name for build stage"),
        ("FROM a\nENV a", "ENV must have two arguments"),
        ("FROM a\nENV a=b c", 'can\'t find = in "c"'),
        ("FROM a\nENV =b", "names can not be blank"),
        ("FROM a\nENV", "at least one argument"),
        ("FROM a\nCOPY a", "at least two arguments"),
        ("FROM a\nCOPY --form=x a b", "unknown flag: --form"),
        ("FROM a\nCOPY --from=a --from=b a b", "duplicate flag"),
        ("FROM a\nCOPY --parents a b", "COPY --parents is not supported"),
        ("FROM a\nADD --from=x a b", "unknown flag: --from"),
        ("FROM a\nRUN --network=x y", "invalid network"),
        ("FROM a\nRUN", "at least one argument"),
        ("FROM a\nUSER", "exactly one argument"),
        ("FROM a\nSHELL /bin/sh", "JSON form"),
        ("FROM a\nHEALTHCHECK TCP x", "Unknown type"),
        ("FROM a\nHEALTHCHECK CMD", "Missing command"),
        ("FROM a\nHEALTHCHECK NONE x", "takes no arguments"),
        ("FROM a\nHEALTHCHECK --interval=1us CMD x", "cannot be less than 1ms"),
        ("FROM a\nHEALTHCHECK --retries=-1 CMD x", "not negative"),
        ("FROM a\nONBUILD ONBUILD RUN x", "Chaining ONBUILD"),
        ("FROM a\nONBUILD FROM x", "isn't allowed as an ONBUILD trigger"),
        ("FROM a\nONBUILD NOPE x", "unknown instruction: NOPE"),
        ('FROM a\nVOLUME [""]', "can not be an empty string"),
    ],
)
def test_what_is_wrong_is_refused_in_dockers_words(source: str, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        parse_dockerfile(source.encode())


def test_triggers_of_images_are_not_trusted() -> None:
    trigger: Instruction = parse_trigger("RUN a")

    assert isinstance(trigger, kinds.Run)
    with pytest.raises(InvalidArgument, match="not one instruction"):
        parse_trigger("RUN a\nRUN b")
    with pytest.raises(InvalidArgument, match="isn't allowed"):
        parse_trigger("FROM x")
