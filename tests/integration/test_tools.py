"""`hub.localhost/tools` and `dockerlab image from-host`, run in a real engine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import docker
import pytest
from docker.errors import APIError

from tests.support.engine import EngineUnderTest
from tests.support.fixtures import DockerCli

TOOLS = "hub.localhost/tools"


def run(client: docker.DockerClient, image: str, *command: str) -> str:
    output = client.containers.run(image, list(command), remove=True, stderr=True)
    return bytes(output).decode()


def from_host(engine: EngineUnderTest, *words: str) -> "subprocess.CompletedProcess[str]":
    place = ["--root", str(engine.root), "--socket", str(engine.socket)]
    return subprocess.run(
        [sys.executable, "-m", "dockerlab", "image", "from-host", *place, *words],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tools(client: docker.DockerClient) -> docker.DockerClient:
    client.images.pull(TOOLS, tag="latest")
    return client


def test_tools_have_a_shell_and_what_it_needs(tools: docker.DockerClient) -> None:
    script = "id -un; ls -d /tmp; cat /etc/hostname; ps; ip addr; sleep 0; wget --help 2>&1"

    lines = run(tools, TOOLS, "sh", "-c", script).splitlines()

    assert lines[:2] == ["root", "/tmp"]
    assert any("lo" in line for line in lines)
    assert any("sh -c" in line for line in lines)
    assert any("usage: wget" in line.lower() for line in lines)


def test_tools_have_python_when_asked_for(client: docker.DockerClient) -> None:
    client.images.pull(TOOLS, tag="python")

    code = "import ctypes, json, sqlite3, ssl, subprocess; print(json.dumps([1]))"
    assert run(client, f"{TOOLS}:python", "python3", "-c", code) == "[1]\n"


def test_tools_are_a_few_megabytes_and_say_where_they_are_from(tools: docker.DockerClient) -> None:
    image = tools.images.get(TOOLS)

    assert image.attrs["Size"] < 8_000_000
    assert image.labels["dockerlab.source"] == "hub"
    assert image.attrs["Config"]["Cmd"] == ["sh"]


def test_another_engine_makes_the_same_tools(
    tools: docker.DockerClient, fresh_engine: EngineUnderTest
) -> None:
    other = fresh_engine.connect().images.pull(TOOLS, tag="latest")

    assert other.id == tools.images.get(TOOLS).id
    assert other.attrs["RepoDigests"] == tools.images.get(TOOLS).attrs["RepoDigests"]


def test_a_digest_of_tools_is_known_also_to_an_engine_that_begins(
    tools: docker.DockerClient, fresh_engine: EngineUnderTest
) -> None:
    [digest] = tools.images.get(TOOLS).attrs["RepoDigests"]

    name, _, value = digest.partition("@")
    assert fresh_engine.connect().images.pull(name, tag=value).attrs["RepoDigests"] == [digest]


def test_the_engine_keeps_nothing_of_the_hub_when_it_ends(fresh_engine: EngineUnderTest) -> None:
    fresh_engine.connect().images.pull(TOOLS, tag="latest")
    assert (fresh_engine.root / "hub").is_dir()

    fresh_engine.stop()

    assert not (fresh_engine.root / "hub").exists()


def test_a_tag_that_tools_have_not_is_refused(client: docker.DockerClient) -> None:
    with pytest.raises(APIError, match="manifest unknown"):
        client.images.pull(TOOLS, tag="no-such-tag")


@pytest.mark.needs_docker_cli
def test_the_docker_command_finds_the_hub_by_its_name(docker_cli: DockerCli) -> None:
    done = docker_cli("run", "--rm", "--pull", "always", TOOLS, "echo", "from the hub")

    assert done.stdout.endswith("from the hub\n"), done.stderr


def test_an_image_that_cannot_be_reached_ends_with_the_way_to_tools(
    client: docker.DockerClient,
) -> None:
    with pytest.raises(APIError) as refused:
        client.images.pull("no-such-image", tag="latest")

    if "cannot reach" not in str(refused.value):
        pytest.skip("Docker Hub can be reached from here")
    assert "; hub.localhost/tools has a shell and the usual tools" in str(refused.value)


def test_from_host_makes_an_image_of_the_programs_that_are_named(
    engine: EngineUnderTest, client: docker.DockerClient, tmp_path: Path
) -> None:
    (tmp_path / "note").write_text("taken along\n", encoding="utf-8")

    words = ("--name", "mine:1", "--add", str(tmp_path / "note"), "sh", "ls", "cat", "ps", "ip")
    done = from_host(engine, *words)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mine:1 (")
    script = f"ls /; ps -e; ip -brief addr; cat {tmp_path}/note"
    assert run(client, "mine:1", "sh", "-c", script).endswith("taken along\n")
    image = client.images.get("mine:1")
    assert image.tags == ["mine:1"]
    assert image.attrs["RepoDigests"] == []
    assert image.labels["org.opencontainers.image.title"] == "mine"
    client.images.remove("mine:1")


def test_from_host_twice_is_the_same_image(
    engine: EngineUnderTest, client: docker.DockerClient
) -> None:
    first, second = (from_host(engine, "--name", f"twice:{n}", "sh", "cat") for n in (1, 2))

    assert first.stdout.split(": ")[1] == second.stdout.split(": ")[1]
    assert sorted(client.images.get("twice:1").tags) == ["twice:1", "twice:2"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--name", "a", "slep"), 'there is no program "slep" on this machine'),
        (("--name", "Upper", "sh"), "repository name must be lowercase"),
        (("--name", "other.example/a", "sh"), "without a registry or a digest"),
        (("--name", "a"), "there is nothing to make"),
        (("--name", "a", "--add", "/no/such/file"), 'there is no "/no/such/file" on this machine'),
    ],
)
def test_from_host_says_in_one_sentence_what_cannot_be(
    engine: EngineUnderTest, words: tuple[str, ...], sentence: str
) -> None:
    done = from_host(engine, *words)

    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_the_hub_of_one_image_ends_with_its_input_and_hides_its_name(tmp_path: Path) -> None:
    from urllib.request import urlopen

    command = [sys.executable, "-m", "dockerlab.hub", "--from-host=x", "--", "sh"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        made = json.loads(process.stdout.readline())
        with urlopen(f"http://{made['address']}/v2/_catalog") as answer:
            assert json.load(answer) == {"repositories": []}
        with urlopen(f"http://{made['address']}/v2/{made['repository']}/tags/list") as answer:
            assert json.load(answer)["tags"] == ["latest"]
        process.stdin.close()
        assert process.wait(10) == 0
    assert list(tmp_path.iterdir()) == []
