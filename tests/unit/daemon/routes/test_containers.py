import pytest

from tests.unit.daemon.conftest import Daemon


def test_create_answers_201_with_the_id(daemon: Daemon) -> None:
    status, answer = daemon.json("POST", "/v1.45/containers/create?name=a", {"Image": "hello"})
    assert status == 201
    assert len(answer["Id"]) == 64
    assert answer["Warnings"] == []


def test_create_of_an_absent_image_says_the_phrase_that_clients_pull_by(daemon: Daemon) -> None:
    assert daemon.json("POST", "/containers/create", {"Image": "absent"}) == (
        404,
        {"message": "No such image: absent:latest"},
    )


def test_a_taken_name_is_a_conflict(daemon: Daemon) -> None:
    daemon.create("sleep", name="a")
    status, answer = daemon.json("POST", "/containers/create?name=a", {"Image": "hello"})
    assert (status, "already in use" in answer["message"]) == (409, True)


def test_start_answers_204_and_a_second_time_304(daemon: Daemon) -> None:
    daemon.create("sleep")
    assert daemon.request("POST", "/containers/c/start")[0] == 204
    assert daemon.request("POST", "/containers/c/start")[0] == 304


def test_start_takes_an_empty_body_only(daemon: Daemon) -> None:
    daemon.create("sleep")
    assert daemon.request("POST", "/containers/c/start", {"Binds": ["/a:/b"]})[0] == 400
    assert daemon.request("POST", "/containers/c/start", b"{}")[0] == 204


@pytest.mark.parametrize(
    ("program", "phrase"),
    [("frobnicate", "executable file not found in $PATH"), ("denied", "permission denied")],
)
def test_a_program_that_cannot_be_executed_is_a_bad_request(
    daemon: Daemon, program: str, phrase: str
) -> None:
    daemon.create(program)
    status, answer = daemon.json("POST", "/containers/c/start")
    assert (status, phrase in answer["message"]) == (400, True)


def test_the_verbs_of_a_life(daemon: Daemon) -> None:
    daemon.create("sleep")
    assert daemon.request("POST", "/containers/c/kill")[0] == 409
    daemon.request("POST", "/containers/c/start")
    assert daemon.request("DELETE", "/containers/c")[0] == 409
    assert daemon.request("POST", "/containers/c/restart?t=1")[0] == 204
    assert daemon.request("POST", "/containers/c/stop?t=1&signal=INT")[0] == 204
    assert daemon.request("POST", "/containers/c/rename?name=d")[0] == 204
    assert daemon.request("POST", "/containers/d/resize?h=24&w=80")[0] == 200
    assert daemon.engine.containers.resized == [(24, 80)]
    assert daemon.request("DELETE", "/containers/d?v=1")[0] == 204
    assert daemon.request("DELETE", "/containers/d")[0] == 404


def test_a_new_name_is_needed_to_rename(daemon: Daemon) -> None:
    daemon.create("sleep")
    assert daemon.request("POST", "/containers/c/rename?name=")[0] == 400


def test_removing_a_link_is_refused(daemon: Daemon) -> None:
    daemon.create("sleep")
    assert daemon.request("DELETE", "/containers/c?link=1")[0] == 501


def test_list_shows_running_ones_unless_all_are_asked_for(daemon: Daemon) -> None:
    daemon.create("sleep", name="a")
    daemon.create("sleep", name="b")
    daemon.request("POST", "/containers/b/start")
    assert [c["Names"] for c in daemon.json("GET", "/containers/json")[1]] == [["/b"]]
    assert len(daemon.json("GET", "/containers/json?all=1")[1]) == 2
    assert len(daemon.json("GET", "/containers/json?all=1&limit=-1")[1]) == 2
    assert len(daemon.json("GET", "/containers/json?limit=1")[1]) == 1
    named = '/containers/json?all=1&filters={"name":["a"]}'
    assert [c["Names"] for c in daemon.json("GET", named)[1]] == [["/a"]]


def test_sizes_are_shown_to_who_asks(daemon: Daemon) -> None:
    daemon.create("sleep")
    plain = daemon.json("GET", "/containers/json?all=1")[1][0]
    sized = daemon.json("GET", "/containers/json?all=1&size=1")[1][0]
    assert "SizeRw" not in plain
    assert (sized["SizeRw"], sized["SizeRootFs"]) == (1, 1_234_568)
    assert daemon.json("GET", "/containers/c/json?size=1")[1]["SizeRw"] == 1


def test_a_name_that_went_to_another_image_is_not_shown(daemon: Daemon) -> None:
    daemon.create("sleep")
    assert daemon.json("GET", "/containers/json?all=1")[1][0]["Image"] == "busybox"
    daemon.request("DELETE", "/images/busybox")
    listed = daemon.json("GET", "/containers/json?all=1")[1][0]
    assert listed["Image"] == listed["ImageID"]


def test_prune_removes_what_does_not_run(daemon: Daemon) -> None:
    kept, pruned = daemon.create("sleep", name="a"), daemon.create("sleep", name="b")
    daemon.request("POST", "/containers/a/start")
    assert daemon.json("POST", "/containers/prune") == (
        200,
        {"ContainersDeleted": [pruned], "SpaceReclaimed": 1},
    )
    assert [c["Id"] for c in daemon.json("GET", "/containers/json?all=1")[1]] == [kept]
