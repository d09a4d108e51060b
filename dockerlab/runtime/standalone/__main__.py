"""``dockerlab-runtime``: the command line of OCI runtimes, as runc and crun have it.

Executed as a file by an isolated interpreter: `main` begins the program again from a sealed copy of
the interpreter in memory, so that no container reaches the host's (CVE-2019-5736).
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Isolated, the interpreter finds nothing by itself. This file is four folders below.
    sys.path.append(os.path.abspath(__file__).rsplit(os.sep, 4)[0])

import argparse
import json
import signal
import time

from dockerlab.kernel import syscalls
from dockerlab.runtime.jsonlog import rfc3339_nano
from dockerlab.runtime.launch import sealed_copy
from dockerlab.runtime.protocol import StepFailure, classify_failure
from dockerlab.runtime.standalone import additional, commands, features
from dockerlab.runtime.standalone.store import Store

__all__ = ["main"]

_COPY = "/memfd:dockerlab-python"
# 128 + n for signal n, as shells have it.
_SIGNALLED = 128


def main() -> None:
    """Run one command of the process's own command line, and end the process."""
    options = _parser().parse_args()
    starts_something = options.command in ("create", "run", "exec")
    if starts_something and not os.readlink("/proc/self/exe").startswith(_COPY):
        _begin_again()
    sys.exit(_run_command(options))


def _begin_again() -> None:
    try:
        copy = sealed_copy(sys.executable)
    except OSError:
        return  # no memfd that may be executed here: then the plain interpreter
    arguments = [sys.executable, "-I", "-S", "-E", os.path.abspath(__file__), *sys.argv[1:]]
    os.execve(f"/proc/self/fd/{copy}", arguments, os.environ)  # noqa: S606 - no shell is the point


def _run_command(options: argparse.Namespace) -> int:
    """Run one command; return the status that the process ends with."""
    store = Store(options.root or _default_root())
    try:
        return int(_COMMANDS[options.command](store, options))
    except StepFailure as failure:
        _report(options, _in_runcs_words(failure))
    except OSError as error:
        _report(options, f"{options.command}: {error}")
    return 1


def _report(options: argparse.Namespace, message: str) -> None:
    """Say what failed, to the terminal and to the log that the caller reads."""
    sys.stderr.write(f"dockerlab-runtime: {message}\n")
    if not options.log:
        return
    entry = {"level": "error", "msg": message, "time": rfc3339_nano(time.time_ns())}
    is_json = options.log_format == "json"
    with open(options.log, "a", encoding="utf-8") as log:
        log.write(json.dumps(entry) if is_json else f'level=error msg="{message}"')
        log.write("\n")


def _in_runcs_words(failure: StepFailure) -> str:
    """Return the message; who starts containers reads 126 and 127 out of runc's words."""
    code = classify_failure(failure.step, failure.errno)
    if code == 127 and "/" not in failure.path:  # noqa: PLR2004 - not found
        return f'exec: "{failure.path}": executable file not found in $PATH'
    if code in (126, 127):
        reason = os.strerror(failure.errno).lower()
        return f'exec: "{failure.path}": stat {failure.path}: {reason}'
    return failure.message


# ---------------------------------------------------------------------------------- the commands


def _create(store: Store, options: argparse.Namespace) -> int:
    commands.create(store, _creation(options))
    return 0


def _creation(options: argparse.Namespace) -> commands.Creation:
    return commands.Creation(
        options.id,
        options.bundle,
        console_socket=options.console_socket,
        pid_file=options.pid_file,
        preserved=options.preserve_fds,
    )


def _start(store: Store, options: argparse.Namespace) -> int:
    commands.start(store, options.id)
    return 0


def _run(store: Store, options: argparse.Namespace) -> int:
    if not options.detach:
        syscalls.become_subreaper()
    container = commands.create(store, _creation(options))
    pid = container.pid
    try:
        commands.start(store, options.id)
        if options.detach:
            return 0
        return _wait(pid)
    finally:
        if not options.detach and not options.keep:
            commands.delete(store, options.id, force=True)


def _exec(store: Store, options: argparse.Namespace) -> int:
    request = additional.ExecRequest(
        process_file=options.process,
        args=options.args,
        env=options.env,
        cwd=options.cwd,
        user=options.user,
        terminal=options.tty,
    )
    pid = additional.enter(
        store,
        options.id,
        request,
        console_socket=options.console_socket,
        pid_file=options.pid_file,
    )
    return 0 if options.detach else _wait(pid)


def _wait(pid: int) -> int:
    """Hand signals on to a child until it ends; return its status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        signal.signal(number, lambda each, _: os.kill(pid, each))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else _SIGNALLED - code


def _state(store: Store, options: argparse.Namespace) -> int:
    container = store.get(options.id)
    shown = container.shown()
    shown |= {"created": container.state["created"], "rootfs": container.state["rootfs"]}
    sys.stdout.write(json.dumps({"pid": 0, **shown, "owner": ""}, indent=2) + "\n")
    return 0


def _list(store: Store, options: argparse.Namespace) -> int:
    containers = store.all()
    if options.quiet:
        lines = [str(each.state["id"]) for each in containers]
    elif options.format == "json":
        rows = [{**each.shown(), "created": each.state["created"]} for each in containers]
        lines = [json.dumps(rows)]
    else:
        lines = [f"{'ID':<24} {'PID':<8} {'STATUS':<10} BUNDLE"]
        for each in containers:
            state = each.state
            lines.append(f"{state['id']:<24} {each.pid:<8} {each.status:<10} {state['bundle']}")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _kill(store: Store, options: argparse.Namespace) -> int:
    number = _signal_number(options.signal)
    commands.kill(store, options.id, number, everybody=options.all)
    return 0


def _delete(store: Store, options: argparse.Namespace) -> int:
    commands.delete(store, options.id, force=options.force)
    return 0


def _pause(store: Store, options: argparse.Namespace) -> int:
    commands.pause(store, options.id)
    return 0


def _resume(store: Store, options: argparse.Namespace) -> int:
    commands.resume(store, options.id)
    return 0


def _features(_store: Store, _options: argparse.Namespace) -> int:
    sys.stdout.write(json.dumps(features.document(), indent=2) + "\n")
    return 0


_COMMANDS = {
    "create": _create,
    "start": _start,
    "run": _run,
    "exec": _exec,
    "state": _state,
    "list": _list,
    "kill": _kill,
    "delete": _delete,
    "pause": _pause,
    "resume": _resume,
    "features": _features,
}


def _signal_number(text: str) -> int:
    if text.isdigit():
        return int(text)
    name = text.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    try:
        return int(signal.Signals[name])
    except KeyError as error:
        raise StepFailure("bundle", 0, text, f'unknown signal "{text}"') from error


def _default_root() -> str:
    if os.geteuid() == 0 and not os.environ.get("XDG_RUNTIME_DIR"):
        return "/run/dockerlab-runtime"
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/dockerlab-runtime-{os.geteuid()}"  # noqa: S108 - made 0700
    return f"{runtime}/dockerlab-runtime"


# ------------------------------------------------------------------------------ the command line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dockerlab-runtime", description="Run OCI bundles.")
    parser.add_argument("--root", default="", help="folder of the containers' states")
    parser.add_argument("--log", default="", help="file that errors are appended to")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--debug", action="store_true", help="accepted; there is no more to say")
    parser.add_argument("--rootless", default="auto", help="accepted; seen from the surroundings")
    parser.add_argument(
        "--version", "-v", action="version", version="dockerlab-runtime 0.1.0\nspec: 1.0.2"
    )
    verbs = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, words in (("create", "make a container"), ("run", "make, start and await one")):
        verb = verbs.add_parser(name, help=words)
        verb.add_argument("--bundle", "-b", default=".", help="folder with config.json")
        verb.add_argument("--console-socket", default="", help="who takes the terminal")
        verb.add_argument("--pid-file", default="", help="where the first process is noted")
        verb.add_argument("--preserve-fds", type=int, default=0, help="descriptors from 3 on")
        if name == "run":
            verb.add_argument("--detach", "-d", action="store_true", help="do not wait")
            verb.add_argument("--keep", action="store_true", help="do not delete it at its end")
        verb.add_argument("id")
    _add_exec(verbs.add_parser("exec", help="run one more process"))
    for name, words in (
        ("start", "run a created container's program"),
        ("state", "show a container's state as JSON"),
        ("pause", "stop all its processes from running"),
        ("resume", "let them run again"),
    ):
        verbs.add_parser(name, help=words).add_argument("id")
    verb = verbs.add_parser("kill", help="send a signal")
    verb.add_argument("--all", "-a", action="store_true", help="to all its processes")
    verb.add_argument("id")
    verb.add_argument("signal", nargs="?", default="TERM")
    verb = verbs.add_parser("delete", help="take away what is left")
    verb.add_argument("--force", "-f", action="store_true", help="kill it first")
    verb.add_argument("id")
    verb = verbs.add_parser("list", help="list containers")
    verb.add_argument("--format", "-f", choices=("table", "json"), default="table")
    verb.add_argument("--quiet", "-q", action="store_true", help="ids only")
    verbs.add_parser("features", help="show what this runtime does as JSON")
    return parser


def _add_exec(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--process", "-p", default="", help="file with the process")
    verb.add_argument("--console-socket", default="", help="who takes the terminal")
    verb.add_argument("--pid-file", default="", help="where the process is noted")
    verb.add_argument("--tty", "-t", action="store_true", help="with a terminal")
    verb.add_argument("--detach", "-d", action="store_true", help="do not wait")
    verb.add_argument("--env", "-e", action="append", default=[], metavar="NAME=VALUE")
    verb.add_argument("--cwd", default="", help="working directory")
    verb.add_argument("--user", "-u", default="", help="uid[:gid]")
    verb.add_argument("id")
    verb.add_argument("args", nargs=argparse.REMAINDER)


if __name__ == "__main__":
    main()
