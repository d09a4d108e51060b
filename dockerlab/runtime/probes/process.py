"""Probes of what a process may do: filters, sealed programs, tracing; PRoot; other engines."""

import os
import signal
import socket

from dockerlab.kernel import bpf, constants, privileges, syscalls
from dockerlab.runtime import seccomp
from dockerlab.runtime.launch import sealed_copy
from dockerlab.runtime.probes import programs
from dockerlab.runtime.probes.asking import Finding, Host, Refused, doing

__all__ = ["docker_hub", "filters", "other_engine", "proot", "ptrace", "sealed_program"]

_ALLOW = 0x7FFF0000  # SECCOMP_RET_ALLOW, linux/seccomp.h
_HUB = ("registry-1.docker.io", 443)
_CONNECT_TIMEOUT_S = 4.0


def filters(_host: Host) -> Finding:
    """Install a seccomp filter."""
    privileges.prctl(privileges.PR_SET_NO_NEW_PRIVS, 1)
    program = bpf.Assembler()
    code = program.assemble(program.answer(_ALLOW))
    with doing("seccomp(SECCOMP_SET_MODE_FILTER)"):
        seccomp.install(code)
    return Finding("a filter was installed")


def sealed_program(host: Host) -> Finding:
    """Run the interpreter from a copy in memory that nobody can change (CVE-2019-5736)."""
    with doing("memfd_create and its seals"):
        fd = sealed_copy(host.python)
    child = os.fork()
    if child == 0:
        try:
            os.set_inheritable(fd, True)  # noqa: FBT003 - the only form there is
            argv = [host.python, "-I", "-S", "-E", "-c", "pass"]
            os.execve(f"/proc/self/fd/{fd}", argv, {})  # noqa: S606 - a known program
        except OSError as error:
            os._exit(error.errno or 1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code > 1:
        raise Refused(f"executing it: {os.strerror(code).lower()}", code)
    if code:
        raise Refused(f"the sealed interpreter ended with {code}")
    return Finding("a sealed copy of the interpreter runs")


def ptrace(_host: Host) -> Finding:
    """Trace a child to its end: what PRoot does with every program."""
    child = os.fork()
    if child == 0:
        try:
            syscalls.ptrace(constants.PTRACE_TRACEME, 0)
        except OSError as error:
            os._exit(error.errno or 1)
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    _, status = os.waitpid(child, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        number = os.waitstatus_to_exitcode(status)
        raise Refused(f"ptrace(PTRACE_TRACEME): {os.strerror(number).lower()}", number)
    with doing("ptrace(PTRACE_CONT)"):
        syscalls.ptrace(constants.PTRACE_CONT, child)
    os.waitpid(child, 0)
    return Finding("a child was traced")


def proot(host: Host) -> Finding:
    """Run a program under PRoot."""
    program = programs.find("proot", host.path)
    if not program:
        raise Refused("no proot on the PATH", lacks="program")
    argv = (host.python, "-I", "-S", "-E", "-c", "pass")
    code, said = programs.run(program, "-r", "/", *argv)
    if code:
        raise Refused(said or f"proot ended with {code}", lacks="refused")
    return Finding("a program ran under it")


def other_engine(host: Host) -> Finding:
    """Connect to the sockets where Docker and Podman listen."""
    for path in host.sockets:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(1.0)
            try:
                sock.connect(path)
            except OSError:
                continue
        return Finding(f'an engine listens on "{path}"', {"socket": path})
    raise Refused("no engine listens on Docker's or Podman's socket")


def docker_hub(_host: Host) -> Finding:
    """Connect to Docker Hub's registry; asked only with --network."""
    try:
        socket.create_connection(_HUB, _CONNECT_TIMEOUT_S).close()
    except socket.gaierror as error:
        raise Refused(f'"{_HUB[0]}" has no address here: {error.strerror}') from error
    except TimeoutError as error:
        raise Refused(f'"{_HUB[0]}" did not answer within {_CONNECT_TIMEOUT_S:g} s') from error
    except OSError as error:
        number = error.errno or 0
        reason = f'connecting to "{_HUB[0]}": {os.strerror(number).lower()}'
        raise Refused(reason, number) from error
    return Finding(f'"{_HUB[0]}" accepts connections')
