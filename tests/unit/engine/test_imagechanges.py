"""Lines of a Dockerfile on a config, as `docker commit --change` has them."""

import pytest

from dockerlab.engine.imagechanges import apply_changes
from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.oci.imageconfig import RunConfig


def test_every_instruction_changes_its_part() -> None:
    changed = apply_changes(
        RunConfig(env=("PATH=/bin",), labels={"a": "1"}, working_dir="/srv"),
        [
            'CMD ["run", "it"]',
            'ENTRYPOINT ["/enter"]',
            "ENV PATH=/opt:$PATH X='$PATH y' Z=\"a b\"",
            "expose 80 90-91/udp",
            'LABEL b="two words" c=3',
            "USER 1:2",
            'VOLUME ["/data", "/logs"]',
            "WORKDIR sub",
            "STOPSIGNAL SIGINT",
        ],
    )
    assert changed == RunConfig(
        cmd=("run", "it"),
        entrypoint=("/enter",),
        env=("PATH=/opt:/bin", "X=$PATH y", "Z=a b"),
        exposed_ports={"80/tcp": {}, "90/udp": {}, "91/udp": {}},
        labels={"a": "1", "b": "two words", "c": "3"},
        user="1:2",
        volumes={"/data": {}, "/logs": {}},
        working_dir="/srv/sub",
        stop_signal="SIGINT",
    )


def test_a_command_that_is_no_list_goes_to_a_shell() -> None:
    assert apply_changes(RunConfig(), ["CMD echo $X"]).cmd == ("/bin/sh", "-c", "echo $X")
    shell = RunConfig(shell=("/bin/ash", "-c"))
    assert apply_changes(shell, ["ENTRYPOINT run"]).entrypoint == ("/bin/ash", "-c", "run")


def test_a_new_entrypoint_drops_the_old_command() -> None:
    assert apply_changes(RunConfig(cmd=("old",)), ['ENTRYPOINT ["new"]']).cmd is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("${N}", "n"), ("${N:+y}", "y"), ("${M:-d}", "d"), ("${M:+y}", ""), (r"\$N", "$N")],
)
def test_variables(text: str, value: str) -> None:
    changed = apply_changes(RunConfig(env=("N=n",)), [f"ENV V={text}"])
    assert changed.env == ("N=n", f"V={value}")


def test_the_old_form_of_env_takes_the_rest_of_the_line() -> None:
    assert apply_changes(RunConfig(), ["ENV A b c"]).env == ("A=b c",)


@pytest.mark.parametrize("line", ["RUN ls", "EXPOSE 99999", "EXPOSE x", "ENV A", "CMD", "LABEL =x"])
def test_what_is_no_change_is_refused(line: str) -> None:
    with pytest.raises(InvalidArgument):
        apply_changes(RunConfig(), [line])


def test_what_needs_a_build_is_refused_by_name() -> None:
    with pytest.raises(Unsupported, match="ONBUILD"):
        apply_changes(RunConfig(), ["ONBUILD RUN x"])
