"""Builds over the API: what clients see, what hostile contexts cannot do, what is left behind."""

import io
import json
import os
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, BuildError

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.fixtures import DockerCli

pytestmark = pytest.mark.needs_docker_cli


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    made = tmp_path / "context"
    made.mkdir()
    (made / "a").write_text("a\n")
    return made


@pytest.fixture(autouse=True)
def nothing_stays(engine: EngineUnderTest) -> Iterator[None]:
    yield
    wait_until(lambda: not list((engine.root / "builds").iterdir()), "the folders of builds go")


@pytest.fixture(autouse=True)
def classic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_BUILDKIT", "0")


def write(context: Path, dockerfile: str) -> str:
    (context / "Dockerfile").write_text(dockerfile)
    return str(context)


def archive(*members: tuple[str, dict[str, Any], bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, fields, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            for key, value in fields.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def post(
    client: docker.DockerClient, body: bytes, headers: dict[str, str] | None = None, **query: Any
) -> tuple[int, list[dict[str, Any]]]:
    """Build from an archive; return the status and every line."""
    answer = client.api.post(
        f"{client.api.base_url}/v1.45/build", params=query, data=body, headers=headers
    )
    return answer.status_code, [json.loads(line) for line in answer.text.splitlines()]


def texts(lines: Iterable[Any]) -> str:
    return "".join(line.get("stream", "") for line in lines)


def run(client: docker.DockerClient, image: Any, *command: str) -> str:
    container = client.containers.create(image, list(command))
    container.start()
    container.wait()
    output: bytes = container.logs()
    container.remove()
    return output.decode()


# What clients see


def test_the_stream_says_what_dockers_does(client: docker.DockerClient) -> None:
    dockerfile = b"FROM busybox\nENV a=b\nRUN echo out; echo err >&2\n"
    status, lines = post(client, archive(("Dockerfile", {}, dockerfile)), t="said", nocache=1)
    image = client.images.get("said")
    text = texts(lines)

    assert status == 200
    assert text.startswith("Step 1/3 : FROM busybox\n ---> ")
    assert "Step 3/3 : RUN echo out; echo err >&2\n ---> Running in " in text
    assert "out\n" in text
    assert "\x1b[91merr\n\x1b[0m" in text
    assert "Removing intermediate container " in text
    short = str(image.id).removeprefix("sha256:")[:12]
    assert f"Successfully built {short}\nSuccessfully tagged said:latest\n" in text
    assert {"aux": {"ID": image.id}} in lines


def test_a_quiet_build_says_the_image_only(docker_cli: DockerCli, context: Path) -> None:
    built = docker_cli("build", "-q", write(context, "FROM busybox\nRUN echo x\nRUN true"))

    assert built.stdout.startswith("sha256:")
    assert built.stdout.count("\n") == 1
    assert docker_cli("inspect", built.stdout.strip()).returncode == 0


def test_docker_py_builds_and_tags(client: docker.DockerClient, context: Path) -> None:
    path = write(context, "FROM busybox\nARG v\nRUN echo $v > /v\nCMD cat /v")
    image, _ = client.images.build(path=path, tag="py:1", buildargs={"v": "7"}, labels={"l": "m"})

    assert image.tags == ["py:1"]
    assert image.labels == {"l": "m"}
    assert run(client, "py:1") == "7\n"


def test_a_dockerfile_can_come_alone_and_elsewhere(docker_cli: DockerCli, context: Path) -> None:
    alone = docker_cli("build", "-t", "alone", "-", data="FROM busybox\nCMD echo alone")
    (context / "sub").mkdir()
    (context / "sub" / "Other").write_text("FROM busybox\nCOPY . /c\nRUN ls -A /c")
    (context / ".dockerignore").write_text("sub\n")
    other = docker_cli(
        "build", "--no-cache", "-f", str(context / "sub" / "Other"), "-t", "o:1", "-t", "o:2",
        str(context),
    )  # fmt: skip

    assert alone.returncode == 0
    assert docker_cli("run", "--rm", "alone").stdout == "alone\n"
    assert "Successfully tagged o:1\nSuccessfully tagged o:2\n" in other.stdout
    assert "\n.dockerignore\na\nsub\n" in other.stdout


def test_a_failing_command_is_told_with_its_code_and_its_container_stays(
    client: docker.DockerClient, docker_cli: DockerCli, context: Path
) -> None:
    path = write(context, "FROM busybox\nRUN echo before; exit 7")
    failed = docker_cli("build", path)
    sentence = "The command '/bin/sh -c echo before; exit 7' returned a non-zero code: 7"

    assert failed.returncode == 7
    assert sentence in failed.stderr
    [left] = client.containers.list(all=True)
    assert left.logs() == b"before\n"
    left.remove()
    with pytest.raises(BuildError, match="returned a non-zero code: 7"):
        client.images.build(path=path, forcerm=True)
    assert client.containers.list(all=True) == []


def test_a_program_that_is_not_there_fails_the_build(
    client: docker.DockerClient, docker_cli: DockerCli, context: Path
) -> None:
    failed = docker_cli("build", write(context, 'FROM busybox\nRUN ["/none"]'))

    assert failed.returncode == 1
    assert "/none" in failed.stderr
    assert client.containers.list(all=True) == []


@pytest.mark.parametrize(
    ("dockerfile", "sentence"),
    [
        ("FROM busybox\nNOPE x", "dockerfile parse error line 2: unknown instruction: NOPE"),
        ("RUN x", "no build stage in current context"),
        (" \n", "the Dockerfile (Dockerfile) cannot be empty"),
        ("FROM scratch", "No image was generated"),
        ("FROM busybox\nCOPY none /", "COPY failed: file not found in build context or excluded"),
        ("FROM busybox\nCOPY *.none /", "COPY failed: no source files were specified"),
        ("FROM busybox\nCOPY ../x /", "forbidden path outside the build context"),
        ("FROM busybox\nCOPY a Dockerfile /x", "must be a directory and end with a /"),
        ("FROM busybox\nCOPY --from=busybox /none /", "COPY failed: stat /none"),
        ("FROM busybox\nCOPY --from=3 /a /", "invalid from flag value 3"),
        ("FROM busybox\nCOPY --chown=nobody-here a /", "nobody-here"),
        ("FROM busybox\nCOPY --chmod=9 a /", "is not octal"),
        ("FROM busybox\nCOPY . /bin/busybox", "is not a directory"),
        ("FROM busybox\nADD https://example.org/x /", "put it into the context"),
        ("FROM busybox\nRUN --mount=type=ssh true", "--mount"),
        ("FROM busybox\nENV a=${b", "missing"),
        ("FROM busybox\nSTOPSIGNAL SIGNONE", "SIGNONE"),
        ("FROM busybox\nEXPOSE 80x", "Invalid containerPort: 80x"),
        ("FROM nothing-of-this-name", "nothing-of-this-name"),
        ("FROM --platform=linux/s390x busybox", "s390x"),
    ],
)
def test_what_cannot_be_built_is_told_in_a_sentence(
    docker_cli: DockerCli, context: Path, dockerfile: str, sentence: str
) -> None:
    failed = docker_cli("build", write(context, dockerfile))

    assert failed.returncode == 1
    assert sentence in failed.stderr


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ({"remote": "https://example.org/x.git"}, 501, "contexts from Git"),
        ({"version": "2"}, 501, "BuildKit is not supported"),
        ({"squash": "1"}, 501, "--squash"),
        ({"t": "UPPER"}, 400, "UPPER"),
        ({"t": "a@sha256:" + "0" * 64}, 400, "digest"),
        ({"dockerfile": "../x"}, 400, "must be within the build context"),
        ({"dockerfile": "None"}, 404, "Cannot locate specified Dockerfile: None"),
        ({"target": "none"}, 400, "failed to reach build target none"),
        ({"buildargs": "[1]"}, 400, "buildargs"),
        ({"memory": "x"}, 400, "memory"),
        ({"buildargs": '{"SOURCE_DATE_EPOCH": "x"}'}, 400, "seconds since 1970"),
    ],
)
def test_what_is_not_done_is_refused_before_the_first_line(
    client: docker.DockerClient, query: dict[str, Any], status: int, sentence: str
) -> None:
    answer = post(client, archive(("Dockerfile", {}, b"FROM busybox\nCMD x")), **query)

    assert answer[0] == status
    assert sentence in answer[1][0]["message"]
    bad = {"X-Registry-Config": "!"}
    assert post(client, archive(("Dockerfile", {}, b"FROM a")), headers=bad)[0] == 400


# The cache


def test_the_cache_sees_contents_modes_and_names_and_no_times(
    docker_cli: DockerCli, context: Path
) -> None:
    path = write(context, "FROM busybox\nCOPY a b* /x/\nCOPY . /all/")

    def is_cached() -> int:
        return docker_cli("build", path).stdout.count("Using cache")

    assert is_cached() == 0
    os.utime(context / "a", (1, 1))
    assert is_cached() == 2
    (context / "a").chmod(0o600)
    assert is_cached() == 0
    (context / "c").write_text("c")
    assert is_cached() == 1
    (context / "c").rename(context / "b")
    assert is_cached() == 0
    assert docker_cli("build", "--no-cache", path).stdout.count("Using cache") == 0
    assert is_cached() == 2


def test_arguments_count_where_they_are_declared_and_proxies_never(
    docker_cli: DockerCli, context: Path
) -> None:
    path = write(context, "FROM busybox\nRUN echo $HTTP_PROXY $v\nARG v\nRUN echo $v > /v")

    def build(*values: str) -> str:
        options = [word for value in values for word in ("--build-arg", value)]
        return docker_cli("build", *options, path).stdout

    assert "proxy 1" not in build("v=1", "HTTP_PROXY=proxy")
    assert build("v=1", "HTTP_PROXY=other").count("Using cache") == 3
    assert build("v=2").count("Using cache") == 2
    assert "One or more build-args [w] were not consumed" in build("v=1", "w=3")


def test_an_image_of_another_engine_is_a_cache_when_it_is_named(
    client: docker.DockerClient, docker_cli: DockerCli, context: Path
) -> None:
    path = write(context, "FROM busybox\nCOPY a /\nRUN date +%N > /now\nCMD x")
    assert docker_cli("build", "-t", "source", path).returncode == 0
    own = docker_cli("build", "--cache-from", "source", "-t", "again", path)
    none = docker_cli("build", "--cache-from", "nothing", path)

    assert own.stdout.count("Using cache") == 3
    assert none.stdout.count("Using cache") == 0
    layers = [client.images.get(name).attrs["RootFS"]["Layers"] for name in ("source", "again")]
    assert layers[0] == layers[1]


def test_steps_are_images_that_go_with_the_last_of_them(
    client: docker.DockerClient, docker_cli: DockerCli, context: Path
) -> None:
    path = write(context, "FROM busybox\nENV unique=steps\nRUN touch /steps\nCMD steps")
    before = {image.id for image in client.images.list(all=True)}
    image, _ = client.images.build(path=path, tag="stepped", rm=True)
    steps = {step.id for step in client.images.list(all=True)} - before

    assert len(steps) == 3
    assert len({step.id for step in client.images.list()} - before) == 1
    parent = image.attrs["Parent"]
    assert {line["Id"] for line in image.history()[:3]} == steps
    assert parent in steps
    with pytest.raises(APIError, match="image has dependent child images"):
        client.images.remove(parent)
    client.images.remove("stepped")
    assert {step.id for step in client.images.list(all=True)} == before


def test_the_same_build_twice_is_the_same_image_when_it_has_a_date(
    client: docker.DockerClient, docker_cli: DockerCli, context: Path
) -> None:
    path = write(context, "FROM busybox\nRUN echo x > /x\nCOPY a /\nCMD y")
    options = ("--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1000000000", "-q", path)
    first = docker_cli("build", *options)
    time.sleep(1.1)
    second = docker_cli("build", *options)

    assert first.stdout == second.stdout != ""
    made = client.images.get(first.stdout.strip())
    assert made.attrs["Created"].startswith("2001-09-09T01:46:40")
    assert run(client, made.id, "stat", "-c", "%Y", "/x") == "1000000000\n"


# Beyond dockerd 20.10


def test_heredocs_are_scripts_and_files(client: docker.DockerClient, context: Path) -> None:
    path = write(
        context,
        "FROM busybox\nARG who=you\n"
        "RUN <<EOF\nset -e\necho one > /one\n  echo two >> /one\nEOF\n"
        "RUN cat <<A > /a && cat <<'B' > /b\n$who\nA\n$who\nB\n"
        'COPY <<conf <<"raw" a /etc/made/\nname = "${who:-x}"\nconf\n$who\nraw\n'
        "COPY --chmod=700 <<-one /bin/tool\n\t#!/bin/sh\n\techo tool\n\tone\n",
    )
    image, _ = client.images.build(path=path)
    shown = run(client, image.id, "sh", "-c", "cat /one /a /b /etc/made/*; tool")

    assert shown == 'one\ntwo\nyou\n$who\na\nname = "you"\n$who\ntool\n'


def test_modes_and_platforms_can_be_asked_for(client: docker.DockerClient, context: Path) -> None:
    path = write(
        context, "FROM busybox\nARG TARGETARCH\nCOPY --chmod=751 a /x\nRUN echo $TARGETARCH"
    )
    image, lines = client.images.build(path=path)

    assert run(client, image.id, "stat", "-c", "%a", "/x") == "751\n"
    assert f"{image.attrs['Architecture']}\n" in texts(lines)


# Options of RUN


def test_commands_get_the_network_and_the_limits_that_were_asked_for(
    docker_cli: DockerCli, context: Path
) -> None:
    path = write(
        context,
        "FROM busybox\nRUN ls /sys/class/net; ulimit -n; cat /etc/hosts\n"
        "RUN --network=host ls /sys/class/net",
    )
    built = docker_cli(
        "build", "--network", "none", "--ulimit", "nofile=77", "--add-host", "h:1.2.3.4",
        "--no-cache", path,
    )  # fmt: skip
    first, second = built.stdout.split("Step 3/3")

    assert "\nlo\n77\n" in first
    assert "1.2.3.4\th" in first
    assert all(path.name in second for path in Path("/sys/class/net").iterdir())


# Hostile contexts


def test_links_of_a_context_lead_nowhere_but_into_it(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    symbolic = {"type": tarfile.SYMTYPE}
    members = archive(
        ("abs", {**symbolic, "linkname": str(secret)}, b""),
        ("up", {**symbolic, "linkname": "../../../../../.." + str(secret)}, b""),
        ("folder", {**symbolic, "linkname": "/etc"}, b""),
        ("etc/passwd", {}, b"the context's own\n"),
        ("Dockerfile", {}, b"FROM busybox\nCOPY folder/passwd /p\nRUN cat /p"),
    )
    status, lines = post(client, members)
    assert status == 200
    assert "the context's own\n" in texts(lines)
    for name in ("abs", "up"):
        dockerfile = f"FROM busybox\nCOPY {name} /x".encode()
        _, lines = post(client, archive(
            ("abs", {**symbolic, "linkname": str(secret)}, b""),
            ("up", {**symbolic, "linkname": "../../../../../.." + str(secret)}, b""),
            ("Dockerfile", {}, dockerfile),
        ))  # fmt: skip
        assert "COPY failed" in lines[-1]["error"]


def test_a_dockerfile_that_is_a_link_outside_is_not_read(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("FROM busybox\nCMD x")
    link = {"type": tarfile.SYMTYPE, "linkname": str(outside)}

    assert post(client, archive(("Dockerfile", link, b"")))[0] == 404


def test_names_that_lead_out_and_damaged_archives_are_refused(
    client: docker.DockerClient, engine: EngineUnderTest
) -> None:
    out = archive(("../../../../../../tmp/escaped", {}, b"x"), ("Dockerfile", {}, b"FROM busybox"))
    status, [line] = post(client, out)
    assert (status, "leads out" in line["message"]) == (400, True)
    assert not Path("/tmp/escaped").exists()
    assert post(client, b"this is no archive" * 100)[0] == 400
    assert post(client, b"")[0] in (400, 404)


def test_links_of_an_image_lead_nowhere_but_into_it(
    client: docker.DockerClient, context: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    path = write(
        context,
        f"FROM busybox\nRUN ln -s ../../../../../../..{victim} /up && ln -s {victim} /abs\n"
        "COPY a /up/\nCOPY a /abs/b\nWORKDIR /abs/made\n",
    )
    image, _ = client.images.build(path=path)

    assert list(victim.iterdir()) == []
    assert run(client, image.id, "ls", f"{victim}") == "a\nb\nmade\n"


def test_a_device_of_a_context_is_not_made(client: docker.DockerClient) -> None:
    device = {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}
    body = archive(
        ("zero", device, b""), ("Dockerfile", {}, b"FROM busybox\nCOPY . /c/\nRUN ls /c")
    )
    status, lines = post(client, body)

    assert status == 200
    assert "zero" not in texts(lines)


# Ends


def test_a_client_that_leaves_ends_the_build(
    client: docker.DockerClient, engine: EngineUnderTest, context: Path
) -> None:
    path = write(context, "FROM busybox\nRUN echo begun; sleep 600")
    running = subprocess.Popen(
        ["docker", "build", path], env=os.environ | {"DOCKER_HOST": engine.address},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    assert any("begun" in line for line in running.stdout)
    running.terminate()
    running.communicate(timeout=20)

    wait_until(lambda: not client.containers.list(all=True), "its container is removed")


def test_a_client_that_leaves_while_it_sends_leaves_nothing(engine: EngineUnderTest) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(engine.socket))
        connection.sendall(
            b"POST /build HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n"
            + b"x" * 500
        )
        wait_until(lambda: list((engine.root / "builds").iterdir()), "the build has a folder")


def test_builds_at_the_same_time_do_not_disturb_each_other(
    engine: EngineUnderTest, client: docker.DockerClient
) -> None:
    results: dict[int, str] = {}

    def build(number: int) -> None:
        mine = engine.connect()
        dockerfile = f"FROM busybox\nCOPY n /n\nRUN cat /n > /m && echo {number} >> /m".encode()
        body = archive(("n", {}, b"%d\n" % number), ("Dockerfile", {}, dockerfile))
        _, lines = post(mine, body, t=f"same:{number}")
        results[number] = texts(lines)

    threads = [threading.Thread(target=build, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number in range(4):
        assert f"Successfully tagged same:{number}" in results[number]
        assert run(client, f"same:{number}", "cat", "/m") == f"{number}\n{number}\n"


def test_a_killed_engine_forgets_the_build_and_keeps_its_steps(
    fresh_engine: EngineUnderTest, context: Path
) -> None:
    path = write(context, "FROM busybox\nRUN echo x > /x\nRUN sleep 600")
    running = subprocess.Popen(
        ["docker", "build", path], env=os.environ | {"DOCKER_HOST": fresh_engine.address},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    client = fresh_engine.connect()
    wait_until(lambda: "sleep 600" in str([c.attrs for c in client.containers.list()]), "it runs")
    fresh_engine.kill()
    running.communicate(timeout=20)
    fresh_engine.start()
    client = fresh_engine.connect()
    assert list((fresh_engine.root / "builds").iterdir()) == []
    [container] = client.containers.list(all=True)
    container.kill()
    wait_until(lambda: not client.containers.list(all=True), "it goes with its end")
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo x > /x\nCMD y")
    _, lines = client.images.build(path=path)
    assert texts(lines).count("Using cache") == 1
