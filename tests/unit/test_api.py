"""What a run can be told: options in words, and what is refused."""

import pytest

from dockerlab.client.options import RunOptions, command_words, make_request
from dockerlab.errors import InvalidArgument


def test_options_become_the_fields_of_the_engine_api() -> None:
    options = RunOptions(
        env={"A": "1"},
        labels={"of": "tests"},
        memory="64m",
        cpus=0.5,
        rm=True,
        network="none",
        entrypoint="sh",
        input="text",
    )

    request = make_request("busybox", ("-c", "true"), options)

    assert request.config == {"Env": ["A=1"], "Labels": {"of": "tests"}, "Entrypoint": ["sh"]}
    assert request.host_config == {
        "AutoRemove": True,
        "NetworkMode": "none",
        "Memory": 64 << 20,
        "NanoCpus": 500_000_000,
    }
    assert request.stdin == b"text"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memroy": "1m"}, 'no such option of a run: "memroy"'),
        ({"pull": "sometimes"}, 'invalid value "sometimes" for pull'),
        ({"detach": True, "input": "x"}, "reads no input"),
    ],
)
def test_what_cannot_be_right_is_refused(options: RunOptions, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make_request("busybox", (), options)


def test_a_text_is_split_and_words_are_left_alone() -> None:
    assert command_words("sh -c 'echo $HOME'") == ("sh", "-c", "echo $HOME")
    assert command_words(["a b"]) == ("a b",)
    with pytest.raises(InvalidArgument, match="no closing quotation"):
        command_words("echo 'open")
