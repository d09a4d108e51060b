"""Do the runs of an experiment, one after the other, and collect what each took.

Only the run itself is timed: removing the image before a cold run, and the container after each, is
not. A run that was not as cold or as cached as planned is an error, never a sample.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dockerlab.bench.experiment import Experiment
from dockerlab.bench.sample import Sample, Temperature
from dockerlab.client.pull import pull
from dockerlab.client.refusals import engine_errors
from dockerlab.client.run import RunOutcome, RunRequest, run
from dockerlab.client.session import Session
from dockerlab.errors import Conflict, EngineFailure, ImageNotFound

__all__ = ["machine_facts", "perform"]


def perform(session: Session, experiment: Experiment) -> list[Sample]:
    """Do every run of an experiment, in its order.

    Parameters
    ----------
    session : Session
        The engine that is measured.
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
    Afterwards the image is in the store, and no container of the experiment is left.
    """
    _refuse_used_image(session, experiment.image)
    # One pull and one run that are not measured, for what only the first one meets: names,
    # connections, imports.
    pull(session, experiment.image)
    _run_once(session, experiment)
    samples = []
    for number, temperature in enumerate(experiment.order()):
        if temperature == "cold":
            _remove_image(session, experiment.image)
        samples.append(_measure(session, experiment, number, temperature))
    return samples


def machine_facts(session: Session, experiment: Experiment) -> dict[str, Any]:
    """Return what a reader of the numbers has to know about how they came about."""
    with engine_errors(session.address):
        info: Mapping[str, Any] = session.api.info()
    return {
        "engine": f"{session.engine} {session.version}",
        "tier": session.tier,
        "host": session.host,
        "kernel": info.get("KernelVersion", ""),
        "cpus": info.get("NCPU", 0),
        "memory_bytes": info.get("MemTotal", 0),
        "storage": info.get("Driver", ""),
        "image": experiment.image,
        "command": list(experiment.command),
        "runs": experiment.runs,
        "seed": experiment.seed,
        "order": "random interleaved blocks",
        "cold": "image and blobs removed before; page cache not dropped",
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _measure(
    session: Session, experiment: Experiment, number: int, temperature: Temperature
) -> Sample:
    outcome = _run_once(session, experiment)
    if outcome.was_cached != (temperature == "cached"):
        raise EngineFailure(
            f"run {number} of {experiment.image} was to be {temperature} and was not",
            "somebody else pulls or removes the image meanwhile",
        )
    timeline = replace(outcome.timeline, run=number, temperature=temperature)
    return Sample(run=number, temperature=temperature, rows=tuple(timeline.rows))


def _run_once(session: Session, experiment: Experiment) -> RunOutcome:
    request = RunRequest(image=experiment.image, command=experiment.command)
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
            f"{image} was untagged but not deleted, so the next run would not be cold",
            "another reference keeps it: see %images",
        )
