"""The metadata file: what is written is read again, in transactions."""

import sqlite3
from pathlib import Path

import pytest

from dockerlab.engine.container import ContainerConfig, ContainerState
from dockerlab.engine.database import Database, ImageRow, NameRow
from dockerlab.engine.event import Event
from dockerlab.engine.volume import Volume
from dockerlab.errors import EngineFailure
from dockerlab.oci.digest import digest_of
from tests.unit.engine.records import START, a_container, a_network

ROW = ImageRow(
    id=digest_of(b"config"),
    manifest=digest_of(b"manifest"),
    source="hub",
    pulled_at=START.isoformat(),
    layers=((digest_of(b"low"), 10), (digest_of(b"high"), 5)),
    blobs=frozenset({digest_of(b"config"), digest_of(b"blob")}),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.sqlite"


def test_a_container_comes_back_whole(path: Path) -> None:
    container = a_container(
        config=ContainerConfig(image="i", env=("A=ü",), labels={"k": "v"}, cmd=("x",)),
        state=ContainerState(status="exited", exit_code=137, oom_killed=True, finished_at=START),
        layers=(digest_of(b"l"),),
    )
    first = Database(path)
    first.save_container(container)
    first.close()
    again = Database(path)
    assert again.containers() == [container]
    again.delete_container(container.id)
    assert again.containers() == []
    again.close()


def test_an_image_comes_back_with_its_layers_in_order(path: Path) -> None:
    database = Database(path)
    with database.transaction():
        database.save_image(ROW)
        database.save_name(NameRow("docker.io/library/x:1", ROW.id))
    assert database.images() == [ROW]
    assert database.names() == [NameRow("docker.io/library/x:1", ROW.id)]
    database.delete_image(ROW.id)
    assert database.images() == []
    assert database.names() == []
    database.close()


def test_a_block_that_raises_leaves_no_trace(path: Path) -> None:
    database = Database(path)

    def half_way() -> None:
        with database.transaction():
            database.save_image(ROW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half_way()
    assert database.images() == []
    database.close()


def test_a_newer_file_is_refused_and_left_alone(path: Path) -> None:
    Database(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version=99")
    raw.close()
    with pytest.raises(EngineFailure, match="has schema 99"):
        Database(path)


def test_a_file_of_the_first_version_gets_its_tables_of_volumes_and_networks(path: Path) -> None:
    container = a_container()
    first = Database(path)
    first.save_container(container)
    first.close()
    with sqlite3.connect(path) as raw:
        raw.executescript(
            "DROP TABLE volumes; DROP TABLE networks; DROP TABLE steps; PRAGMA user_version=1;"
        )
    raw.close()
    database = Database(path)
    assert database.containers() == [container]
    volume = Volume(name="v", created_at=START, path="/v", labels={"a": "b"}, is_anonymous=True)
    database.save_volume(volume)
    assert database.volumes() == [volume]
    database.delete_volume("v")
    assert database.volumes() == []
    network = a_network("mine")
    database.save_network(network)
    assert database.networks() == [network]
    database.delete_network(network.id)
    assert database.networks() == []
    database.close()


def test_events_are_read_from_a_time_on_and_the_oldest_forgotten(path: Path) -> None:
    database = Database(path)
    events = [
        Event(kind="image", action="pull", actor_id=str(n), attributes={}, at=START, time_ns=n)
        for n in range(10_050)
    ]
    database.add_events(events)
    kept = database.events(0)
    assert len(kept) == 10_000
    assert kept[-1] == events[-1]
    assert [e.time_ns for e in database.events(10_048)] == [10_048, 10_049]
    database.close()


def test_the_first_value_of_a_key_stays(path: Path) -> None:
    database = Database(path)
    assert database.meta("tier", "rootful") == "rootful"
    assert database.meta("tier", "rootless") == "rootful"
    database.close()
