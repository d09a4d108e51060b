"""What instructions change in a config, and what the history says of them."""

from collections.abc import Mapping

import pytest

from dockerlab.engine.buildargs import BuildArguments, platform_arguments
from dockerlab.engine.buildconfig import Change, change, join_workdir, nothing_line, variables_of
from dockerlab.errors import InvalidArgument
from dockerlab.image.build.dockerfile import parse_dockerfile
from dockerlab.oci.imageconfig import RunConfig
from dockerlab.oci.platform import Platform

BASE = RunConfig(env=("PATH=/bin", "A=a"), cmd=("base",), working_dir="/w", labels={"l": "1"})


def changed(
    line: str,
    config: RunConfig = BASE,
    variables: Mapping[str, str] | None = None,
    *,
    has_cmd: bool = False,
) -> Change:
    [stage] = parse_dockerfile(f"FROM x\n{line}".encode()).stages
    known = variables_of(config) if variables is None else variables
    return change(stage.instructions[0], config, known, has_cmd=has_cmd)


def test_the_environment_is_replaced_in_place_and_read_as_it_was_before() -> None:
    result = changed("ENV A=b B=$A C='$A'")

    assert result.config.env == ("PATH=/bin", "A=b", "B=a", "C=$A")
    assert result.comment == " ENV A=b B=a C=$A"


def test_an_entrypoint_drops_the_command_of_the_base_and_keeps_the_stages_own() -> None:
    assert changed("ENTRYPOINT x").config.cmd is None
    assert changed("ENTRYPOINT x", has_cmd=True).config.cmd == ("base",)
    assert changed("ENTRYPOINT []").config.entrypoint is None
    assert changed('CMD ["a b"]').comment == ' CMD ["a b"]'


def test_the_shell_is_used_by_what_follows() -> None:
    config = changed('SHELL ["/bin/bash", "-c"]').config

    assert changed("CMD x", config).config.cmd == ("/bin/bash", "-c", "x")
    assert nothing_line(config, " CMD") == "/bin/bash -c #(nop)  CMD"


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("EXPOSE 80 53/UDP 1-3", "exposed_ports", {"80", "53/udp", "1", "2", "3"}),
        ("VOLUME /a $A", "volumes", {"/a", "a"}),
        ("LABEL m=$A l=2", "labels", {"l", "m"}),
        ("USER $A:b", "user", "a:b"),
        ("WORKDIR x/../y", "working_dir", "/w/y"),
        ("WORKDIR /$A//b/", "working_dir", "/a/b"),
        ("STOPSIGNAL 9", "stop_signal", "9"),
        ("ONBUILD RUN $A", "on_build", ("RUN $A",)),
    ],
)
def test_fields(line: str, field: str, value: object) -> None:
    found = getattr(changed(line).config, field)
    if field == "exposed_ports":
        found = {port.removesuffix("/tcp") for port in found}

    assert (set(found) if isinstance(value, set) else found) == value


@pytest.mark.parametrize(
    "line", ["EXPOSE 80/x", "EXPOSE 9-1", "EXPOSE 65536", "USER ${A", "VOLUME $N"]
)
def test_what_cannot_be_right_is_refused(line: str) -> None:
    with pytest.raises(InvalidArgument):
        changed(line)


def test_relative_paths_are_below_the_working_directory() -> None:
    assert join_workdir(RunConfig(), "a") == "/a"
    assert join_workdir(RunConfig(working_dir="/w"), "../..") == "/"
    assert join_workdir(RunConfig(working_dir="/w"), "//x") == "/x"


def test_arguments_have_their_scopes() -> None:
    used: set[str] = set()
    given = {"a": "1", "b": None, "HTTP_PROXY": "p", "never": "x"}
    arguments = BuildArguments(given, {"meta": "m", "b": "everywhere"}, used)
    for name, default in (("a", "0"), ("b", None), ("c", "c"), ("d", None), ("meta", None)):
        arguments.declare(name, default)

    assert arguments.values == {"a": "1", "b": "everywhere", "c": "c", "meta": "m"}
    assert arguments.proxies == {"HTTP_PROXY": "p"}
    assert given.keys() - used == {"never"}
    arguments.declare("HTTP_PROXY", None)
    assert arguments.proxies == {}


def test_platforms_are_arguments() -> None:
    told = platform_arguments(
        Platform(os="linux", architecture="amd64"),
        Platform(os="linux", architecture="arm", variant="v7"),
    )

    assert told["BUILDPLATFORM"] == "linux/amd64"
    assert (told["TARGETPLATFORM"], told["TARGETVARIANT"]) == ("linux/arm/v7", "v7")
