"""The magics in a real kernel, over a real engine and a real registry."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.notebooks.kernel import Kernel, running_kernel
from tests.support.engine import EngineUnderTest
from tests.support.images import HELLO_TEXT
from tests.support.passwords import write_htpasswd
from tests.support.registry import RunningRegistry, running_registry

pytestmark = pytest.mark.notebook


@pytest.fixture(scope="module")
def kernel(engine: EngineUnderTest) -> Iterator[Kernel]:
    environ = {"DOCKERLAB_SOCKET": str(engine.socket), "DOCKERLAB_ROOT": str(engine.root)}
    with running_kernel({**environ, "DOCKERLAB_WIDGETS": "0"}) as kernel:
        kernel.run("%load_ext dockerlab")
        yield kernel


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")


def test_the_first_run_pulls_and_says_so_and_the_second_does_not(kernel: Kernel) -> None:
    first = kernel.run("%run_container hello-world")
    second = kernel.run("%run_container hello-world")

    lines = first.stdout.splitlines()
    assert lines[0] == "Unable to find image 'hello-world:latest' locally"
    assert lines[1] == "latest: Pulling from library/hello-world"
    assert lines[2].endswith("B)")
    assert ": Pull complete (" in lines[2]
    assert lines[-1] == HELLO_TEXT.strip()
    assert first.text.startswith("cold · ")
    assert second.stdout == HELLO_TEXT
    assert second.text.startswith("cached · ")
    assert sorted(second.result) == ["text/html", "text/plain"]
    kernel.run("ids = %ps -aq\n%rm -f {' '.join(ids)}")


def test_the_doctor_s_table_is_a_frame_with_marks(kernel: Kernel) -> None:
    cell = kernel.run("report = %doctor\nreport[report['ability'] == 'overlay as root']")

    assert "✔" in cell.text
    assert sorted(cell.result) == ["text/html", "text/plain"]
    assert kernel.run("report.attrs['tier']").text == "'rootful'"
    features = kernel.run("report[(report['kind'] == 'feature') & report['can']]").text
    assert "pause, unpause" in features


def test_output_arrives_while_the_program_runs(kernel: Kernel) -> None:
    cell = kernel.run(
        "%run_container --rm busybox sh -c 'echo one; echo two >&2; sleep 1; echo three'"
    )

    arrived = {text.strip(): seconds for seconds, _, text in cell.arrivals}
    assert cell.stdout == "one\nthree\n"
    assert cell.stderr == "two\n"
    assert arrived["three"] - arrived["one"] > 0.5


def test_the_body_of_a_cell_is_standard_input_as_it_stands(kernel: Kernel) -> None:
    kernel.run("x = 'from Python'")
    cell = kernel.run(
        '%%run_container --rm -e GREETING={x!r} busybox sh\necho "$GREETING {x} $0"\n'
    )

    assert cell.stdout == "from Python {x} sh\n"


def test_the_result_has_what_was_written_and_how_it_ended(kernel: Kernel) -> None:
    cell = kernel.run(
        "r = %run_container --rm busybox sh -c 'echo out; echo err >&2; exit 7'\n"
        "(r.exit_code, r.stdout, r.stderr, len(r.container), r.was_cached)"
    )

    assert cell.text == "(7, 'out\\n', 'err\\n', 64, True)"


def test_an_interrupt_stops_the_container_and_leaves_nothing(
    kernel: Kernel, client: docker.DockerClient
) -> None:
    cell = kernel.run(
        "%run_container --name endless busybox sh -c 'echo ready; sleep 1000'",
        interrupt_when="ready",
    )

    assert cell.error == ["interrupted: the container of busybox:latest was stopped and removed"]
    assert [c.name for c in client.containers.list(all=True)] == []


def test_an_interrupt_stops_the_cells_behind_it(kernel: Kernel) -> None:
    cell = kernel.run(
        "%run_container --rm busybox sh -c 'echo ready; sleep 1000'\nprint('went on')",
        interrupt_when="ready",
    )

    assert "went on" not in cell.stdout
    assert cell.error_name == "Interrupted"


def test_an_interrupt_cancels_a_pull(kernel: Kernel, client: docker.DockerClient) -> None:
    cell = kernel.run("%pull slow", interrupt_when="Pulling from")

    assert cell.error == ["interrupted: the pull of slow was cancelled, and nothing of it is kept"]
    assert client.images.list("slow") == []


def test_tables_have_real_dtypes_and_human_units(kernel: Kernel) -> None:
    kernel.run("%run_container -d --name one busybox true")
    images = kernel.run("df = %images\nassert df['size_bytes'].sum() > 1000\ndf")
    dtypes = kernel.run("ps = %ps -a\nprint(ps['created_at'].dtype, ps['state'].dtype)")

    assert "SIZE" in images.text
    assert "MB" in images.text
    assert sorted(images.result) == ["text/html", "text/plain"]
    assert dtypes.stdout == "datetime64[us, UTC] category\n"
    assert kernel.run("%rm -f one").text == "one"


def test_a_semicolon_silences(kernel: Kernel) -> None:
    assert kernel.run("%images ;").result == {}


def test_a_background_container_is_followed_stopped_and_removed(kernel: Kernel) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo begin; while :; do sleep 0.1; done"
    kernel.run(f'%run_container -d --name web busybox sh -c "{script}"')
    followed = kernel.run("%logs -f web", interrupt_when="begin")
    kernel.run("%stop -t 5 web")
    logs = kernel.run("%logs -n 1 web")
    kernel.run("%rm web")

    assert followed.stdout.strip() == "begin"
    assert followed.error == []
    assert logs.text == "bye"
    assert kernel.run("%ps -aq").text == ""


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("%run_container --memroy 1m busybox", "unknown flag: --memroy"),
        ("%rm nobody", "No such container: nobody"),
        ("%inspect nobody", "No such object: nobody"),
        ("%history nobody", "No such image: nobody:latest"),
        ("%run_container --rm busybox no-such-program", "executable file not found"),
        ("%run_container -m 1m busybox", "6MB"),
        ("%logs --since never nobody", 'invalid duration: "never"'),
        ("%engine unix:///no/such.sock", "no engine answers at"),
    ],
)
def test_an_error_is_a_sentence_and_no_traceback(kernel: Kernel, line: str, sentence: str) -> None:
    cell = kernel.run(line)

    assert sentence in cell.error[0]
    assert len(cell.error) <= 2
    assert all(text.startswith("hint: ") for text in cell.error[1:])


def test_the_comparison_gives_cold_and_cached_runs_in_turn(kernel: Kernel) -> None:
    cell = kernel.run(
        "df = %compare_runs hello-world -n 2\n"
        "runs = df[['run', 'temperature']].drop_duplicates()\n"
        "pulled = df.loc[df['phase'] == 'download', 'temperature'].unique().tolist()\n"
        "print(len(runs), pulled, df.attrs['seed'], df.attrs['tier'])\n"
        "df.lab.plot()"
    )

    assert cell.stdout.splitlines()[-1] == "4 ['cold'] 0 rootful"
    assert cell.text.startswith("hello-world:latest: cold ")
    assert cell.displays[-1]["metadata"]["image/png"]["alt"] == cell.text


def test_the_comparison_refuses_an_image_that_is_in_use(kernel: Kernel) -> None:
    kernel.run("%run_container -d --name user hello-world")
    cell = kernel.run("%compare_runs hello-world -n 2")
    kernel.run("%rm -f user")

    assert cell.error == [
        "cannot remove hello-world for cold runs: a container uses it",
        "hint: remove it first: %rm -f user",
    ]


def test_the_engine_tells_about_itself(kernel: Kernel, engine: EngineUnderTest) -> None:
    cell = kernel.run("facts = %engine\nfacts")

    assert f"address          {engine.address}" in cell.text
    assert "using" not in cell.stdout


def test_progress_is_a_widget_where_a_kernel_has_a_front_end(engine: EngineUnderTest) -> None:
    environ = {"DOCKERLAB_SOCKET": str(engine.socket), "DOCKERLAB_ROOT": str(engine.root)}
    with running_kernel(environ) as kernel:
        kernel.run("%load_ext dockerlab")
        kernel.run("%rmi -f hello-world")
        cell = kernel.run("%pull hello-world")

    first, *_, last = cell.displays
    assert "application/vnd.jupyter.widget-view+json" in first["data"]
    assert last["type"] == "update_display_data"
    assert ": Pull complete (" in last["data"]["text/plain"]
    assert cell.stdout == ""


def test_login_says_what_the_registry_says_and_asks_nobody_who_is_not_there(
    kernel: Kernel, registry: RunningRegistry, tmp_path: Path
) -> None:
    auth = write_htpasswd(tmp_path / "htpasswd", {"ada": "secret"})
    kernel.run(f"%env DOCKER_CONFIG={tmp_path}")
    with running_registry(registry.root, auth=auth) as guarded:
        server = guarded.address
        wrong = kernel.run(f"%login -u ada -p wrong {server}")
        nobody = kernel.run(f"%login -u ada {server}")
        asked = kernel.run(f"%login -u ada {server}", answer="secret")
        right = kernel.run(f"word = 'secret'\n%login -u ada -p {{word}} {server}")
        pulled = kernel.run(f"%pull -q {server}/library/hello-world")
        out = kernel.run(f"%logout {server}")

    assert wrong.error_name == "Unauthorized"
    assert nobody.error[-1] == (
        "hint: give -u USER and -p {variable}, or run `dockerlab login` in a terminal"
    )
    assert asked.stdout == right.stdout == "Login Succeeded\n"
    assert pulled.text == f"'{server}/library/hello-world:latest'", pulled.error
    assert out.stdout == f"Removing login credentials for {server}\n"
