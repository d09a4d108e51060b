"""The engine of a user who may make no namespace: under PRoot, and without even that."""

import gzip
import io
import os
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker.types import Mount

from tests.corpus.recipes import RECIPES, expected_layers20
from tests.hosts import taking
from tests.support.accounts import Account, unprivileged_account
from tests.support.engine import EngineUnderTest, running_engine, wait_until
from tests.support.images import busybox_layer
from tests.support.registry import RunningRegistry, push_image
from tests.support.tiers import deny_user_namespaces

pytestmark = [
    pytest.mark.needs_rootless,
    pytest.mark.needs_registry,
    pytest.mark.needs_busybox,
    pytest.mark.needs_proot,
]

Docker = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with unprivileged_account(has_sub_ids=False) as made:
        yield made


@pytest.fixture(scope="module")
def engine(account: Account, registry: RunningRegistry) -> Iterator[EngineUnderTest]:
    yield from _engine(account, registry, {})


@pytest.fixture(scope="module")
def onlooker(account: Account, registry: RunningRegistry) -> Iterator[EngineUnderTest]:
    """Start an engine that finds no PRoot."""
    yield from _engine(account, registry, {"PATH": "/nowhere"})


def _engine(
    account: Account, registry: RunningRegistry, environ: dict[str, str]
) -> Iterator[EngineUnderTest]:
    with running_engine(
        mirrors=[registry.url],
        account=account,
        environ=environ,
        before_exec=deny_user_namespaces,
    ) as started:
        yield started


@pytest.fixture
def client(engine: EngineUnderTest) -> docker.DockerClient:
    return engine.connect()


@pytest.fixture
def cli(engine: EngineUnderTest) -> Docker:
    """Run the docker client on the engine."""
    engine.connect().images.pull("busybox", "latest")

    def run(*arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", *arguments],
            input=answer,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | {"DOCKER_HOST": engine.address},
        )

    return run


def run(client: docker.DockerClient, *command: str, **options: Any) -> str:
    output = client.containers.run("busybox", list(command), remove=True, **options)
    return bytes(output).decode()


def status(client: docker.DockerClient) -> dict[str, Any]:
    answer: dict[str, Any] = client.api.get(f"{client.api.base_url}/dockerlab/status").json()
    return answer


# What only looks


def test_without_anything_images_are_there_and_runs_are_refused(onlooker: EngineUnderTest) -> None:
    client = onlooker.connect()
    image = client.images.pull("busybox", "latest")
    assert status(client)["tier"] == "look only"
    assert ["Tier", "look only"] in client.info()["DriverStatus"]
    with pytest.raises(APIError, match="no proot on the PATH") as refused:
        client.containers.create("busybox", ["true"])
    assert refused.value.status_code == 501
    assert "dockerlab doctor" in str(refused.value.explanation)
    assert image.history()
    assert image.tag("busybox", "mine")
    client.images.remove("busybox:mine")
    client.images.remove("busybox:latest")
    assert client.images.list() == []
    assert [path.name for path in (onlooker.root / "layers").iterdir()] == ["sizes"]


# What runs


def test_hello_world_runs_cold_and_cached(client: docker.DockerClient) -> None:
    for _ in range(2):
        output = client.containers.run("hello-world", remove=True)
        assert output == b"Hello from the registry of the tests.\n"


def test_the_tier_is_told(client: docker.DockerClient) -> None:
    assert (status(client)["tier"], status(client)["default_network"]) == ("ptrace", "host")
    info = client.info()
    assert ["Tier", "ptrace"] in info["DriverStatus"]
    assert info["CgroupDriver"] == "none"
    assert not any("seccomp" in option for option in info["SecurityOptions"])


@pytest.mark.needs_docker_cli
@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 3"], 3),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "kill -TERM $$"], 143),
        # PRoot's own exit status is that of whoever ends last.
        (["sh", "-c", "(sleep 0.2; exit 7) & exit 4"], 4),
        (["no-such-program"], 127),
        (["/bin/no-such-program"], 127),
        (["/etc"], 126),
    ],
)
def test_exit_codes_are_dockers(cli: Docker, command: list[str], code: int) -> None:
    assert cli("run", "--rm", "busybox", *command).returncode == code


@pytest.mark.needs_docker_cli
def test_an_option_that_is_not_there_is_125_and_names_tier_and_remedy(cli: Docker) -> None:
    for option in (
        ["-m", "64m"],
        ["--cpus", "0.5"],
        ["--pids-limit", "9"],
        ["--network", "none"],
        ["--read-only"],
        ["--cap-drop", "ALL"],
        ["--cap-add", "NET_ADMIN"],
        ["--hostname", "box"],
        ["--shm-size", "1m"],
        ["-v", "/etc:/host:ro"],
        ["-p", "80:80"],
    ):
        done = cli("run", "--rm", *option, "busybox", "true")
        assert done.returncode == 125, option
        assert 'not in the tier "ptrace"' in done.stderr
        assert "dockerlab doctor" in done.stderr


@pytest.mark.needs_docker_cli
def test_standard_input_and_a_terminal_work(cli: Docker, client: docker.DockerClient) -> None:
    done = cli("run", "--rm", "-i", "busybox", "sh", "-c", "cat; exit 5", answer="more\n")
    assert (done.returncode, done.stdout) == (5, "more\n")
    assert run(client, "tty", tty=True).startswith("/dev/pts/")


def test_user_folder_variables_and_entrypoint_are_the_containers(
    client: docker.DockerClient,
) -> None:
    assert run(client, "sh", "-c", "id -u; id -g; pwd") == "0\n0\n/\n"
    script = "id -u; id -g; pwd; echo $HOME $A; touch mine; stat -c %u:%g mine"
    options = {"user": "1000:7", "working_dir": "/made/here", "environment": {"A": "b c"}}
    output = run(client, "sh", "-c", script, **options)
    assert output == "1000\n7\n/made/here\n/ b c\n1000:7\n"
    assert run(client, "a", "b", entrypoint=["echo", "-n"]) == "a b"


def test_a_users_name_is_looked_up_in_the_images_own_files(
    client: docker.DockerClient, registry: RunningRegistry
) -> None:
    files = {
        "etc/passwd": b"root:x:0:0::/root:/bin/sh\nann:x:77:78::/home/ann:/bin/sh\n",
        "etc/group": b"ann:x:78:\n",
    }
    push_image(registry.address, "library/ann", "latest", [busybox_layer(), _archive(files)])
    output = client.containers.run(
        "ann", ["sh", "-c", "id -u; id -g; echo $HOME"], user="ann", remove=True
    )
    assert output == b"77\n78\n/home/ann\n"
    with pytest.raises(APIError, match="bob"):
        client.containers.run("ann", ["true"], user="bob", remove=True)


def test_variables_of_the_container_do_not_reach_proot(client: docker.DockerClient) -> None:
    names = {"LD_PRELOAD": "/x.so", "PROOT_TMP_DIR": "/nowhere", "LD_LIBRARY_PATH": "/bin"}
    lines = run(client, "env", environment=names).splitlines()
    assert {f"{name}={value}" for name, value in names.items()} <= set(lines)
    # Neither does what PRoot is told reach the container.
    assert run(client, "env").count("PROOT") == 0


def test_binds_are_read_and_written_in_place(client: docker.DockerClient, account: Account) -> None:
    folder = account.home / "shared"
    folder.mkdir()
    os.chown(folder, account.uid, account.gid)
    (folder / "in").write_text("from the host\n")
    script = "cat /data/in; echo back >/data/out"
    assert run(client, "sh", "-c", script, volumes=[f"{folder}:/data"]) == "from the host\n"
    assert (folder / "out").read_text() == "back\n"
    mount = Mount("/deep/er", str(folder), type="bind")
    assert run(client, "cat", "in", working_dir="/deep/er", mounts=[mount]) == "from the host\n"
    run(client, "true", volumes=[f"{account.home}/new:/data"])
    assert (account.home / "new").is_dir()
    with pytest.raises(APIError, match="source path does not exist"):
        run(client, "true", mounts=[Mount("/data", "/no/such/folder", type="bind")])
    container = client.containers.create("busybox", volumes=[f"{folder}:/data"])
    assert container.attrs["HostConfig"]["Binds"] == [f"{folder}:/data"]
    assert [mount["Destination"] for mount in container.attrs["Mounts"]] == ["/data"]
    container.remove()


def test_each_container_has_a_root_of_its_own_which_rm_frees(
    client: docker.DockerClient, engine: EngineUnderTest
) -> None:
    script = "test ! -e /mine && head -c 100000 /dev/zero >/mine && rm /bin/wc && chmod 0 /tmp"
    made = [client.containers.run("busybox", ["sh", "-c", script], detach=True) for _ in range(2)]
    assert [container.wait()["StatusCode"] for container in made] == [0, 0]
    ids = [str(container.id) for container in made]
    listed = client.api.containers(all=True, size=True, filters={"id": ids})
    assert [each["SizeRw"] for each in listed] == [100_000, 100_000]
    # What one has written is there at its next start.
    made[0].start()
    assert made[0].wait()["StatusCode"] == 1
    assert run(client, "sh", "-c", "test -e /mine || ls /bin/wc") == "/bin/wc\n"
    left = engine.root / "containers"
    for container in made:
        container.remove()
    wait_until(
        lambda: not any(path for each in ids for path in left.glob(f"*{each}")),
        "the folders are deleted",
    )


def test_twenty_layers_hide_what_they_delete(
    client: docker.DockerClient, registry: RunningRegistry, tmp_path: Path
) -> None:
    built = RECIPES["layers20"].write(tmp_path)
    layers = [gzip.decompress((tmp_path / each.file).read_bytes()) for each in built]
    push_image(registry.address, "library/layers20", "latest", layers, compression="none")
    command = ["sh", "-c", "cd /data && find . -type f"]
    found = client.containers.run("layers20", command, remove=True).decode().splitlines()
    assert {name.removeprefix("./") for name in found} == expected_layers20()


def test_links_of_an_image_lead_nowhere_on_the_host(
    client: docker.DockerClient, registry: RunningRegistry, account: Account
) -> None:
    target = account.home / "target"
    target.mkdir()
    os.chown(target, account.uid, account.gid)
    (target / "hosts").write_text("kept\n")
    (target / "hosts").chmod(0o666)
    links = {
        "etc": str(target),
        "dev": str(target),
        "proc": str(target),
        "made": f"../../../../../../../..{target}",
    }
    refusals = []
    for name, link in links.items():
        layer = _archive({}, links={name: link})
        push_image(registry.address, f"library/link-{name}", "latest", [busybox_layer(), layer])
        client.images.pull(f"link-{name}", "latest")
        container = client.containers.create(f"link-{name}", ["true"], working_dir="/made/new")
        try:
            container.start()
            container.wait()
        except APIError as refused:
            # It leads nowhere in the image, so there is no place for what is mounted there.
            refusals.append(str(refused.explanation))
        container.remove()
    assert len(refusals) == len(links)
    assert all("Too many levels of symbolic links" in refusal for refusal in refusals)
    assert [path.name for path in target.iterdir()] == ["hosts"]
    assert (target / "hosts").read_text() == "kept\n"


def test_owners_are_noted_and_set_id_bits_taken(
    client: docker.DockerClient, registry: RunningRegistry, engine: EngineUnderTest
) -> None:
    layer = _archive({"owned/program": b"#!"}, mode=0o4711, owner=1234)
    push_image(registry.address, "library/owned", "latest", [busybox_layer(), layer])
    assert client.containers.run("owned", ["ls", "/owned"], remove=True) == b"program\n"
    [program] = (engine.root / "layers").glob("*/owned/program")
    assert program.stat().st_mode & 0o7777 == 0o711
    assert os.getxattr(program, "user.dockerlab.owner") == b"1234:1234:4711"


def test_stop_kill_exec_and_logs(client: docker.DockerClient, account: Account) -> None:
    script = "trap 'echo bye; exit 9' TERM; (sleep 100 &); echo up; while :; do sleep 0.1; done"
    container = client.containers.run("busybox", ["sh", "-c", script], detach=True, name="long")
    wait_until(lambda: b"up" in container.logs(), "it is up")
    assert container.exec_run(["sh", "-c", "echo in; exit 6"]) == (6, b"in\n")
    assert container.exec_run(["id", "-u"], user="5") == (0, b"5\n")
    assert container.exec_run(["no-such-program"]).exit_code == 127
    assert container.exec_run(["touch", "/made"]).exit_code == 0
    assert container.exec_run(["ls", "/made"]) == (0, b"/made\n")
    container.stop(timeout=20)
    assert container.wait()["StatusCode"] == 9
    assert container.logs() == b"up\nbye\n"
    # With the first process all others end.
    wait_until(lambda: not _processes(account, "sleep"), "its other processes have ended")
    container.start()
    container.kill()
    assert container.wait()["StatusCode"] == 137
    wait_until(lambda: not _processes(account, "proot"), "PRoot has ended")
    container.remove()


def test_containers_outlive_daemon_and_zygote(engine: EngineUnderTest) -> None:
    client = engine.connect()
    script = "echo before; while ! [ -e /go ]; do sleep 0.05; done; echo after; exec sleep 100"
    client.containers.run("busybox", ["sh", "-c", script], detach=True, name="old")
    zygote = engine.zygote_pid()
    engine.kill()
    os.kill(zygote, 9)
    engine.start()
    old = engine.connect().containers.get("old")
    assert old.status == "running"
    assert old.exec_run(["touch", "/go"]).exit_code == 0
    wait_until(lambda: b"after" in old.logs(), "the log goes on")
    old.remove(force=True)


def test_a_program_ends_when_proot_is_killed(client: docker.DockerClient, account: Account) -> None:
    container = client.containers.run("busybox", ["sleep", "100"], detach=True)
    [proot] = _processes(account, "proot")
    os.kill(proot, 9)
    # By SIGKILL, or by the system call of its own that nobody translates any more.
    assert container.wait()["StatusCode"] in (137, 139)
    container.remove()


def test_the_copy_of_the_layers_is_a_phase_of_the_first_start(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["true"], detach=True)
    container.wait()
    phases = client.api.get(f"{client.api.base_url}/dockerlab/containers/{container.id}/phases")
    assert "rootfs" in {phase["phase"] for phase in phases.json()}
    container.remove()


def test_a_data_root_belongs_to_its_tier_and_reset_deletes_it(
    account: Account, registry: RunningRegistry
) -> None:
    engine = EngineUnderTest(
        mirrors=[registry.url], account=account, before_exec=deny_user_namespaces
    )
    try:
        engine.start()
        client = engine.connect()
        client.images.pull("busybox", "latest")
        script = "mkdir -p /a/b; touch /a/b/c; chmod 0 /a/b /a; exec sleep 100"
        client.containers.run("busybox", ["sh", "-c", script], detach=True)
        time.sleep(0.3)
        command = ["-m", "dockerlab", "engine", "reset", "--yes", "--root", str(engine.root)]
        done = account.run(*command, "--socket", str(engine.socket))
        assert (done.returncode, done.stderr) == (0, "")
        assert not engine.root.exists()
        assert not _processes(account, "sleep")
        engine.start()
    finally:
        engine.close()


def _archive(
    files: dict[str, bytes],
    *,
    links: dict[str, str] | None = None,
    mode: int = 0o644,
    owner: int = 0,
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.uid = entry.gid = owner
            entry.mode, entry.size = mode, len(data)
            archive.addfile(entry, io.BytesIO(data))
        for name, link in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, link
            archive.addfile(entry)
    return buffer.getvalue()


def _processes(account: Account, name: str) -> list[int]:
    """Return the account's living processes of a name."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if (
                process.name.isdigit()
                and process.stat().st_uid == account.uid
                and name in (process / "cmdline").read_bytes().decode().split("\0")[0]
            ):
                found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.mark.needs_namespaces
def test_root_in_dockers_default_container_runs_programs_too(
    registry: RunningRegistry, tmp_path: Path
) -> None:
    def become() -> None:
        taking.stand_alone(tmp_path)
        taking.all_but_dockers_defaults()

    engine = EngineUnderTest(mirrors=[registry.url], before_exec=become)
    try:
        engine.start()
        client = engine.connect()
        assert status(client)["tier"] == "ptrace"
        script = "id -u; cat /proc/self/status >/dev/null; exit 5"
        client.images.pull("busybox", "latest")
        container = client.containers.create("busybox", ["sh", "-c", script], user="3")
        container.start()
        assert container.wait()["StatusCode"] == 5
        assert container.logs() == b"3\n"
        container.remove()
    finally:
        engine.close()
