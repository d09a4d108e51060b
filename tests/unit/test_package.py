"""The public face of the package: its names, and that they cost nothing until they are used."""

import subprocess
import sys
from pathlib import Path

import pytest

import dockerlab
from dockerlab import api
from tests.unit.client.scripted_engine import scripted_engine


def test_the_public_names_are_these() -> None:
    assert dockerlab.__all__ == [
        "__version__",
        "compare",
        "connect",
        "containers",
        "cp",
        "diff",
        "engines",
        "export",
        "history",
        "images",
        "inspect",
        "layers",
        "load_ipython_extension",
        "logs",
        "pause",
        "pull",
        "rename",
        "restart",
        "rm",
        "rmi",
        "run",
        "stats",
        "stop",
        "top",
        "unload_ipython_extension",
        "unpause",
        "update",
        "volume_create",
        "volume_inspect",
        "volume_prune",
        "volume_rm",
        "volumes",
        "wait",
    ]
    assert set(dockerlab.__all__) <= set(dir(dockerlab))


def test_the_verbs_are_those_of_the_api() -> None:
    own = {"__version__", "connect", "load_ipython_extension", "unload_ipython_extension"}

    verbs = set(dockerlab.__all__) - own

    assert all(getattr(dockerlab, name) is getattr(api, name) for name in verbs)
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        dockerlab.runn  # noqa: B018 - that it fails is the point


def test_importing_the_package_imports_nothing_else() -> None:
    folder = str(Path(dockerlab.__file__).parents[1])
    code = (
        f"import sys; sys.path.insert(0, {folder!r}); before = set(sys.modules);"
        "import dockerlab; print(set(sys.modules) - before)"
    )
    output = subprocess.check_output([sys.executable, "-I", "-S", "-c", code], text=True)
    assert output.strip() == "{'dockerlab'}"


def test_connect_gives_docker_py_s_client(tmp_path: Path) -> None:
    with scripted_engine(tmp_path) as engine:
        client = dockerlab.connect(engine.address)
        assert client.api.api_version == "1.41"
        assert client.api.inspect_container("x")["Name"] == "/merry_name"
        client.close()
