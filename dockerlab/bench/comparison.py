"""A comparison from question to table: engines by name, one digest for all, the runs, the doubts.

Engines are opened by name, told apart by name, and closed together. What is measured and in which
order is `experiment` and `runner`; what the numbers say is `report`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from dockerlab.bench.experiment import Experiment
from dockerlab.bench.runner import machine_facts, perform
from dockerlab.bench.sample import Temperature
from dockerlab.client.digests import resolve_digest
from dockerlab.client.options import command_words
from dockerlab.client.session import Session, connect
from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.phases import EMULATED_TIERS

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["CompareOptions", "compare"]

# The network that every engine has, and that costs none of them anything.
SHARED_NETWORK = "none"


class CompareOptions(TypedDict, total=False):
    """How runs are compared; see `bench.experiment.Experiment` for what each means."""

    runs: int
    seed: int
    temperatures: Sequence[Temperature]
    network: str


def compare(
    image: str,
    command: str | Sequence[str] = (),
    *,
    engines: Sequence[str | Session] = ("",),
    registry: str = "",
    on_message: Callable[[str], None] = lambda _text: None,
    **options: Unpack[CompareOptions],
) -> "Table":
    """Run an image cold and cached in turn, on one engine or several; return the timeline.

    Parameters
    ----------
    image : str
        Its reference.
    command : str or sequence of str
        In place of the image's own; a text is split as a shell does.
    engines : sequence of str or Session
        Of several, the first is what the others are compared with.
    registry : str
        ``host:port`` of a registry on this machine, which all pull from. Several engines need it
        unless the reference names one: its digest is asked for once and used for all.
    on_message : callable
        Is told what is done, and what the numbers do not carry.
    **options
        ``runs``, ``seed``, ``temperatures`` and ``network`` (of several engines: ``none``).

    Returns
    -------
    Table
        One row a phase; ``df.lab.plot()`` draws it and ``df.lab.summary()`` sums it up.

    Raises
    ------
    Unsupported
        One of several engines runs its containers in an emulation.
    DockerlabError
        As `bench.runner.perform` does.
    """
    fields: dict[str, Any] = dict(options)
    if "temperatures" in fields:
        fields["temperatures"] = tuple(fields["temperatures"])
    experiment = Experiment(image=image, command=command_words(command), **fields)
    with _opened(engines) as sessions:
        if len(sessions) > 1:
            _refuse_emulated(sessions)
        if len(sessions) > 1 or registry:
            experiment = _for_engines(experiment, registry)
        kinds = " and ".join(f"{experiment.runs} {name}" for name in experiment.temperatures)
        where = f" on each of {', '.join(sessions)}" if len(sessions) > 1 else ""
        on_message(
            f"{experiment.image}: {kinds} runs{where} in turn"
            f" (random order, seed {experiment.seed})"
        )
        samples = perform(sessions, experiment)
        facts = machine_facts(sessions, experiment)
    from dockerlab.report.summary import doubts
    from dockerlab.report.timelines import timeline_frame

    table = timeline_frame([row for sample in samples for row in sample.rows], facts)
    for sentence in doubts(table):
        on_message(f"note: {sentence}")
    return table


@contextmanager
def _opened(engines: Sequence[str | Session]) -> Iterator[dict[str, Session]]:
    """Connect to engines, by the names that the table of a comparison has for them.

    Parameters
    ----------
    engines : sequence of str or Session
        Names as `client.session.connect` takes them; a session is used and not closed.

    Raises
    ------
    InvalidArgument
        One engine is named twice.
    DockerlabError
        As `connect` does.
    """
    with ExitStack() as stack:
        sessions = []
        for engine in engines:
            if isinstance(engine, Session):
                sessions.append(engine)
                continue
            session = connect(engine)
            stack.callback(session.close)
            sessions.append(session)
        twice = [name for name, count in Counter(s.address for s in sessions).items() if count > 1]
        if twice:
            raise InvalidArgument(f"one engine is named twice: {twice[0]}", "name each once")
        yield dict(zip(_labels(engines, sessions), sessions, strict=True))


def _refuse_emulated(sessions: Mapping[str, Session]) -> None:
    for name, session in sessions.items():
        if session.tier in EMULATED_TIERS:
            raise Unsupported(
                f'{name} cannot be compared with other engines in the tier "{session.tier}", whose'
                " times are those of an emulation",
                "compare it with itself, cold and cached; %doctor says what would lift that",
            )


def _for_engines(experiment: Experiment, registry: str = "") -> Experiment:
    """Return the experiment as several engines can do it alike: one digest, no network of its own.

    Raises as `client.digests.resolve_digest` does.
    """
    return replace(
        experiment,
        image=resolve_digest(experiment.image, registry),
        network=experiment.network or SHARED_NETWORK,
    )


def _labels(engines: Sequence[str | Session], sessions: Sequence[Session]) -> list[str]:
    """Name each by what it is, and those that are the same by what they were asked for as."""
    kinds = Counter(session.engine for session in sessions)
    return [
        session.engine
        if kinds[session.engine] == 1
        else (engine if isinstance(engine, str) else session.address)
        for engine, session in zip(engines, sessions, strict=True)
    ]
