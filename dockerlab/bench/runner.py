"""Do the runs of an experiment, one after the other, and collect what each took.

Only the run itself is timed: removing the image before a cold run, and the container after each, is
not. A run that was not as cold or as cached as planned is an error, never a sample.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dockerlab.bench.experiment import Experiment
from dockerlab.bench.sample import Cell, Sample
from dockerlab.client.pull import pull
from dockerlab.client.refusals import engine_errors
from dockerlab.client.run import RunOutcome, RunRequest, run
from dockerlab.client.session import Session
from dockerlab.errors import Conflict, EngineFailure, ImageNotFound

__all__ = ["machine_facts", "perform"]


def perform(sessions: Mapping[str, Session], experiment: Experiment) -> list[Sample]:
    """Do every run of an experiment, in its order.

    Parameters
    ----------
    sessions : mapping of str to Session
        The engines that are measured, by the names that the table is to have.
    experiment : Experiment
        What to run.

    Raises
    ------
    Conflict
        Containers use the image, so that it cannot be removed for a cold run.
    EngineFailure
        The image could not be removed, or was removed by somebody else meanwhile.

    Notes
    -----
    Afterwards the image is in each store, and no container of the experiment is left.
    """
    for session in sessions.values():
        _make_ready(session, experiment)
    samples = []
    for number, cell in enumerate(experiment.order(tuple(sessions))):
        session = sessions[cell.engine]
        if cell.temperature == "cold":
            _remove_image(session, experiment.image)
        samples.append(_measure(session, experiment, number, cell))
    return samples


def machine_facts(sessions: Mapping[str, Session], experiment: Experiment) -> dict[str, Any]:
    """Return what a reader of the numbers has to know about how they came about.

    What differs between engines is told engine by engine, separated by commas, in their order.
    """
    infos = [_info(session) for session in sessions.values()]
    first = infos[0]
    return {
        "engines": list(sessions),
        "engine": ", ".join(f"{name} {one.version}" for name, one in sessions.items()),
        "tier": ", ".join(session.tier for session in sessions.values()),
        "rootless": ", ".join(_is_rootless(info) for info in infos),
        "storage": ", ".join(str(info.get("Driver", "")) for info in infos),
        "host": next(iter(sessions.values())).host,
        "kernel": first.get("KernelVersion", ""),
        "cpus": first.get("NCPU", 0),
        "memory_bytes": first.get("MemTotal", 0),
        "image": experiment.image,
        "command": list(experiment.command),
        "network": experiment.network or "the engine's default",
        "runs": experiment.runs,
        "temperatures": list(experiment.temperatures),
        "seed": experiment.seed,
        "order": "random interleaved blocks",
        "cold": "image and blobs removed before; page cache not dropped",
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _info(session: Session) -> Mapping[str, Any]:
    with engine_errors(session.address):
        info: Mapping[str, Any] = session.api.info()
        return info


def _is_rootless(info: Mapping[str, Any]) -> str:
    # Engine API, SystemInfo.SecurityOptions: "name=rootless" (Docker 19.03, Podman 4).
    return "yes" if "name=rootless" in (info.get("SecurityOptions") or ()) else "no"


def _make_ready(session: Session, experiment: Experiment) -> None:
    """Do what is not measured, for what only the first run meets: names, connections, imports."""
    if "cold" in experiment.temperatures:
        _refuse_used_image(session, experiment.image)
    pull(session, experiment.image)
    _run_once(session, experiment)


def _measure(session: Session, experiment: Experiment, number: int, cell: Cell) -> Sample:
    outcome = _run_once(session, experiment)
    if outcome.was_cached != (cell.temperature == "cached"):
        raise EngineFailure(
            f"run {number} of {experiment.image} on {session.engine} was to be"
            f" {cell.temperature} and was not",
            "somebody else pulls or removes the image meanwhile",
        )
    timeline = replace(
        outcome.timeline,
        run=number,
        temperature=cell.temperature,
        engine=cell.engine or outcome.timeline.engine,
    )
    return Sample(run=number, cell=cell, rows=tuple(timeline.rows))


def _run_once(session: Session, experiment: Experiment) -> RunOutcome:
    host_config = {"NetworkMode": experiment.network} if experiment.network else {}
    request = RunRequest(
        image=experiment.image, command=experiment.command, host_config=host_config
    )
    outcome = run(session, request)
    with engine_errors(session.address):
        session.api.remove_container(outcome.container_id, force=True)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return outcome


def _refuse_used_image(session: Session, image: str) -> None:
    try:
        with engine_errors(session.address):
            found = session.api.inspect_image(image)
            users = session.api.containers(all=True, filters={"ancestor": [found["Id"]]})
    except ImageNotFound:
        return
    if users:
        names = " ".join(user["Names"][0].removeprefix("/") for user in users)
        one = len(users) == 1
        raise Conflict(
            f"cannot remove {image} for cold runs: "
            + ("a container uses it" if one else f"{len(users)} containers use it"),
            f"remove {'it' if one else 'them'} first: %rm -f {names}",
        )


def _remove_image(session: Session, image: str) -> None:
    with engine_errors(session.address):
        done = session.api.remove_image(image)
    if not any("Deleted" in step for step in done):
        raise EngineFailure(
            f"{image} was untagged but not deleted on {session.engine}, so the next run would not"
            " be cold",
            "another reference keeps it: see %images",
        )
