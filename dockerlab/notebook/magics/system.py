"""%engine, %doctor and %inspect."""

from typing import TYPE_CHECKING, Any

from dockerlab import api
from dockerlab.client.doctor import examine_host
from dockerlab.client.limits import describe_limits
from dockerlab.client.refusals import engine_errors
from dockerlab.client.session import Session, connect, fetch_status
from dockerlab.config import load_settings, process_environment
from dockerlab.errors import DockerlabError, InvalidArgument
from dockerlab.notebook.declaring import Lab
from dockerlab.notebook.facts import EngineFacts, Facts
from dockerlab.notebook.options import Arguments
from dockerlab.notebook.text import say

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["doctor", "engine", "inspect"]

OWN = ("", "dockerlab")


def engine(lab: Lab, arguments: Arguments) -> EngineFacts:
    """Return facts about the engine; with a name, use that one from now on.

    Without a name, the engines there are to choose from come with it, also where none can run.
    """
    name = arguments.operands[0] if arguments.operands else ""
    if any(arguments.text(place) for place in ("root", "socket", "mirror")):
        return _facts(_choose_own(lab, name, arguments))
    if name:
        return _facts(lab.connection.choose(name))
    try:
        session = lab.connection.session()
    except DockerlabError as error:
        reason = f"none: {error.message}"
        return EngineFacts({"engine": reason}, engines=api.engine_states())
    return EngineFacts(_facts(session), engines=api.engine_states(), in_use=session.address)


def doctor(_lab: Lab, arguments: Arguments) -> "Table":
    """Return the table of abilities; an AppArmor profile that is wanted is shown before it."""
    from dockerlab.report.abilities import ability_table

    report = examine_host(["--network"] if arguments.flag("network") else [])
    if report["apparmor_profile"]:
        say(report["apparmor_profile"])
        say("load it with\n" + "\n".join(report["apparmor_commands"]))
    return ability_table(report)


def inspect(lab: Lab, arguments: Arguments) -> Facts | list[Facts]:
    """Return the engine's JSON of one name, or a list of them for several."""
    session, kind = lab.connection.session(), arguments.text("type")
    found = [Facts(api.inspect(name, kind=kind, engine=session)) for name in arguments.operands]
    return found[0] if len(found) == 1 else found


def _choose_own(lab: Lab, name: str, arguments: Arguments) -> Session:
    if name not in OWN:
        raise InvalidArgument(
            f"--root, --socket and --mirror are for dockerlab's own engine, not for {name}",
            "leave them out, or the name",
        )
    mirrors = arguments.texts("mirror")
    settings = load_settings(
        process_environment(),
        root=arguments.text("root") or None,
        socket=arguments.text("socket") or None,
        mirrors=mirrors,
    )
    session = lab.connection.use(connect("dockerlab", settings=settings))
    if mirrors and list(fetch_status(session)["mirrors"]) != list(settings.mirrors):
        say("note: the engine ran already, with other mirrors; end it first to change them")
    return session


def _facts(session: Session) -> EngineFacts:
    return _own_facts(session) if session.is_dockerlab else _other_facts(session)


def _own_facts(session: Session) -> EngineFacts:
    status = fetch_status(session)
    return EngineFacts(
        {
            "engine": f"dockerlab {status['version']}",
            "address": session.address,
            "API version": session.api.api_version,
            "tier": f"{status['tier']} ({status['tier_reason']})"
            if status["tier_reason"]
            else status["tier"],
            "host": _host(status["hostname"], status["kernel_version"], status["cpus"]),
            "cgroups": f"v{str(status['cgroup_version']).removeprefix('v')}",
            "default network": status["default_network"],
            "data root": status["data_root"],
            "log": status["log_path"],
            "process": status["pid"],
            "containers": _counted(
                status["containers_running"],
                status["containers_paused"],
                status["containers_stopped"],
            ),
            "images": status["images"],
        }
        | ({"rate limits": "; ".join(limits)} if (limits := describe_limits(status)) else {})
    )


def _other_facts(session: Session) -> EngineFacts:
    with engine_errors(session.address):
        info: dict[str, Any] = session.api.info()
    return EngineFacts(
        {
            "engine": f"{session.engine} {session.version}",
            "address": session.address,
            "API version": session.api.api_version,
            "host": _host(info["Name"], info["KernelVersion"], info["NCPU"]),
            "cgroups": f"v{info.get('CgroupVersion', '1')}",
            "data root": info["DockerRootDir"],
            "containers": _counted(
                info["ContainersRunning"], info["ContainersPaused"], info["ContainersStopped"]
            ),
            "images": info["Images"],
        }
    )


def _host(name: str, kernel: str, cpus: int) -> str:
    return f"{name}, Linux {kernel}, {cpus} CPUs"


def _counted(running: int, paused: int, stopped: int) -> str:
    held = f", {paused} paused" if paused else ""
    return f"{running} running{held}, {stopped} stopped"
