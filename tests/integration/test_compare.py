"""Our engine, a real dockerd and a real Podman service: found, used, and compared on one digest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import dockerlab as lab
from dockerlab.client.engines import list_engines, look
from dockerlab.client.session import connect
from dockerlab.errors import Conflict, InvalidArgument
from tests.notebooks.kernel import running_kernel
from tests.support.dockerd import running_dockerd
from tests.support.engine import EngineUnderTest
from tests.support.images import HELLO_TEXT
from tests.support.podman import running_podman
from tests.support.registry import RunningRegistry
from tests.support.service import RunningService

pytestmark = [pytest.mark.needs_dockerd, pytest.mark.needs_podman]

RUNS = 5
NAMES = ["dockerlab", "docker", "podman"]


@pytest.fixture(scope="module")
def dockerd(engine: EngineUnderTest) -> Iterator[RunningService]:
    with running_dockerd() as running:
        yield running


@pytest.fixture(scope="module")
def podman(registry: RunningRegistry) -> Iterator[RunningService]:
    with running_podman([registry.address]) as running:
        yield running


@pytest.fixture
def surroundings(
    engine: EngineUnderTest,
    dockerd: RunningService,
    podman: RunningService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, str]:
    """The environment in which the three go by their names."""
    environ = {
        "HOME": str(tmp_path),
        "DOCKERLAB_ROOT": str(engine.root),
        "DOCKERLAB_SOCKET": str(engine.socket),
        "DOCKER_HOST": dockerd.address,
        "XDG_RUNTIME_DIR": str(podman.socket.parents[1]),
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


def test_the_engines_there_are_answer(surroundings: dict[str, str]) -> None:
    states = {state.known.name: state for state in look(list_engines(surroundings))}

    assert [states[name].is_reachable for name in ("dockerlab", "docker")] == [True, True]
    assert states["podman-rootless"].engine == "podman"
    assert states["podman-rootless"].version
    assert not states["podman"].is_reachable


@pytest.mark.usefixtures("surroundings")
def test_three_engines_are_compared_on_one_digest(registry: RunningRegistry) -> None:
    said: list[str] = []
    engines = ["dockerlab", "docker", "podman-rootless"]

    df = lab.compare(
        "hello-world", engines=engines, registry=registry.address, runs=RUNS, on_message=said.append
    )

    [image] = df["image"].unique()
    assert image.startswith(f"{registry.address}/library/hello-world@sha256:")
    assert df["engine"].cat.categories.tolist() == NAMES
    runs = df[["engine", "temperature", "run"]].drop_duplicates()
    assert set(runs.groupby(["engine", "temperature"], observed=True).size()) == {RUNS}
    # In turn: none of them is measured as one block.
    assert runs.sort_values("run")["engine"].tolist()[:9] not in [[name] * 9 for name in NAMES]
    assert df.loc[df["side"] == "engine", "engine"].unique().tolist() == ["dockerlab"]
    for name in NAMES:
        mine = df[(df["engine"] == name) & (df["side"] == "client")]
        cold = set(mine.loc[mine["temperature"] == "cold", "phase"])
        cached = set(mine.loc[mine["temperature"] == "cached", "phase"])
        assert {"lookup", "pull", "create", "start", "exit"} <= cold
        assert "pull" not in cached
    assert (df["host"] != "").all()
    assert df.groupby("engine", observed=True)["tier"].first().tolist() == [
        "rootful",
        "remote",
        "remote",
    ]
    summary = df.lab.summary()
    assert len(summary) == 6
    assert summary.loc[summary["engine"] == "dockerlab", "ratio"].tolist() == [1, 1]
    assert len(df.lab.plot().figure.axes) == 4
    assert said[0].startswith(f"{image}: 5 cold and 5 cached runs on each of dockerlab, docker, ")


def test_nothing_of_a_comparison_is_left(
    engine: EngineUnderTest, dockerd: RunningService, podman: RunningService
) -> None:
    for address in (engine.address, dockerd.address, podman.address):
        assert lab.containers(all=True, engine=address).empty


@pytest.mark.usefixtures("surroundings")
def test_cached_runs_can_be_compared_alone_and_refusals_say_why(
    registry: RunningRegistry, podman: RunningService
) -> None:
    image = f"{registry.address}/library/hello-world"
    both = ["dockerlab", "docker"]

    df = lab.compare(image, engines=both, runs=1, temperatures=["cached"])

    assert df["temperature"].unique().tolist() == ["cached"]
    with pytest.raises(InvalidArgument, match="its network would be measured"):
        lab.compare("hello-world", engines=both, runs=1)
    with pytest.raises(InvalidArgument, match="named twice"):
        lab.compare(image, engines=["podman-rootless", podman.address], runs=1)
    [digest] = df["image"].unique()
    kept = lab.run(digest, engine="docker", network="none")
    try:
        with pytest.raises(Conflict, match="a container uses it"):
            lab.compare(image, engines=both, runs=1)
    finally:
        lab.rm(kept.container, engine="docker")


@pytest.mark.parametrize("rm", [False, True])
def test_a_short_run_on_podman_ends_and_has_its_exit_code(
    registry: RunningRegistry,
    podman: RunningService,
    rm: bool,  # noqa: FBT001
) -> None:
    image = f"{registry.address}/library/busybox"

    result = lab.run(
        image, ["sh", "-c", "echo out; exit 3"], engine=podman.address, network="none", rm=rm
    )

    assert (result.stdout, result.exit_code) == ("out\n", 3)
    left = lab.containers(all=True, engine=podman.address)["container_id"].tolist()
    assert left == ([] if rm else [result.container])
    lab.rm(*left, engine=podman.address)


def test_an_image_that_podman_has_not_by_digest_is_pulled(
    registry: RunningRegistry, podman: RunningService
) -> None:
    session = connect(podman.address)
    try:
        digest = lab.pull(f"{registry.address}/library/slow", engine=session)
        assert digest.reference == f"{registry.address}/library/slow:latest"
    finally:
        session.close()


@pytest.mark.notebook
def test_the_magics_list_choose_and_compare(
    surroundings: dict[str, str], registry: RunningRegistry, dockerd: RunningService
) -> None:
    with running_kernel({**surroundings, "DOCKERLAB_WIDGETS": "0"}) as kernel:
        kernel.run("%load_ext dockerlab")
        listed = kernel.run("facts = %engine\nprint(facts.engines['name'].tolist())\nfacts")
        compared = kernel.run(
            "df = %compare_runs hello-world --engines dockerlab,docker -n 1 --temperatures cached"
            f" --registry {registry.address}\ndf.lab.plot()"
        )
        chosen = kernel.run("%engine docker")
        ran = kernel.run(f"%docker run --rm --network none {registry.address}/library/hello-world")
        back = kernel.run("%docker container ls -a -q\n%engine dockerlab")
        wrong = kernel.run("%docker rnu hello-world")

    assert "'dockerlab', 'docker', 'docker-usual', 'podman'" in listed.stdout
    assert "docker      " in listed.text
    assert compared.error == []
    assert "note: with 1 of each the noise cannot be judged" in compared.stdout
    assert compared.displays[-1]["metadata"]["image/png"]["alt"] == compared.text
    assert chosen.stdout.startswith("using docker 20")
    assert dockerd.address in chosen.text
    assert ran.stdout.endswith(HELLO_TEXT)
    assert "engine           dockerlab" in back.text
    assert wrong.error == ["unknown command: docker rnu", "hint: did you mean run?"]
