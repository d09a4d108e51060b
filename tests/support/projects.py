"""Ten contexts in the shape of real projects, for builds that are compared with dockerd's."""

import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["PROJECTS", "Project"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A context and how it is built.

    Parameters
    ----------
    files : dict
        Path to text, without the empty line before it, or bytes; a path with a slash at its end
        is a folder; ``-> target`` a link.
    options : tuple of str
        Of ``docker build``.
    command, output : str
        What a container is given to do, and what it says then.
    """

    files: dict[str, str | bytes]
    options: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    output: str = ""
    modes: dict[str, int] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the context into a new folder."""
        folder.mkdir()
        for name, data in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir(exist_ok=True)
            elif isinstance(data, str) and data.startswith("-> "):
                path.symlink_to(data[3:])
            else:
                path.write_bytes(data.lstrip("\n").encode() if isinstance(data, str) else data)
                path.chmod(self.modes.get(name, 0o644))


def _archive(compression: str = "") -> bytes:
    buffer = io.BytesIO()
    mode: Any = f"w:{compression}"
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        folder = tarfile.TarInfo("images")
        folder.type, folder.mode, folder.uid = tarfile.DIRTYPE, 0o750, 33
        archive.addfile(folder)
        for name, text in (("images/a.svg", b"<svg/>"), ("style.css", b"body {}")):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid, entry.gid = len(text), 0o640, 33, 44
            archive.addfile(entry, io.BytesIO(text))
        link = tarfile.TarInfo("main.css")
        link.type, link.linkname = tarfile.SYMTYPE, "style.css"
        archive.addfile(link)
    return buffer.getvalue()


_SERVER = """
import json, os, sys
from lib import greeting
print(json.dumps({"port": os.environ["PORT"], "text": greeting.TEXT, "uid": os.getuid()}))
"""

_PYTHON_SERVICE = Project(
    files={
        "Dockerfile": r"""
# syntax=docker/dockerfile:1
FROM workshop
ENV PYTHONDONTWRITEBYTECODE=1 \
    PORT=8000
WORKDIR /app
COPY requirements.txt .
# What pip would do, without a network.
RUN while read -r name; do \
      mkdir -p "/usr/lib/python3/dist-packages/$name" && \
      echo "VERSION = '1'" > "/usr/lib/python3/dist-packages/$name/__init__.py"; \
    done < requirements.txt
COPY . .
RUN echo app:x:1001:1001::/:/bin/sh >> /etc/passwd && chown -R app /app/data
USER app
EXPOSE $PORT
HEALTHCHECK --interval=30s --timeout=3s --retries=2 CMD python3 -c "import lib" || exit 1
CMD ["python3", "server.py"]
""",
        ".dockerignore": "*.pyc\n.git\nDockerfile\n",
        "requirements.txt": "flask\nrequests\n",
        "server.py": _SERVER,
        "lib/__init__.py": "",
        "lib/greeting.py": "TEXT = 'hello'\n",
        "lib/old.pyc": "never sent? only below lib",
        "data/": "",
        ".git/HEAD": "ref: x\n",
    },
    output='{"port": "8000", "text": "hello", "uid": 1001}\n',
)

_COMPILED = Project(
    files={
        "Dockerfile": """
FROM workshop AS build
WORKDIR /src
COPY *.c ./
RUN gcc -O1 -static -o /out main.c add.c

FROM scratch
COPY --from=build /out /bin/program
ENTRYPOINT ["/bin/program"]
CMD ["3"]
""",
        "main.c": "int printf(const char *, ...); int add(int, int);\n"
        'int main(int n, char **v) { printf("%d\\n", add(n, v[1][0] - 48)); return 0; }\n',
        "add.c": "int add(int a, int b) { return a + b; }\n",
        "notes.txt": "not copied",
    },
    output="5\n",
)

_STATIC_SITE = Project(
    files={
        "Dockerfile": """
FROM busybox
LABEL org.opencontainers.image.title="A site" version=1.0
COPY --chown=33:44 site/ /www/
ADD assets.tar.gz /www/assets/
ADD more.tar.xz /www/more
ADD plain.tar /www
ADD fake.tar.gz /www/
VOLUME /www/cache
EXPOSE 80 8080/udp 9000-9002
STOPSIGNAL SIGQUIT
ENTRYPOINT ["httpd", "-f"]
CMD ["-p", "80"]
""",
        "site/index.html": "<h1>hi</h1>",
        "site/css/-": "dash",
        "site/latest": "-> index.html",
        "assets.tar.gz": _archive("gz"),
        "more.tar.xz": _archive("xz"),
        "plain.tar": _archive(),
        "fake.tar.gz": "only its name says so",
    },
)

_ARGUMENTS = Project(
    files={
        "Dockerfile": """
ARG BASE=nothing
ARG TAG=latest
FROM ${BASE}:${TAG}
ARG TAG
ARG GIVEN
ARG DEFAULTED=default
ARG QUOTED="two words"
ENV A=one B="two words" C=three\\ words
ENV D=$A-${B}-${NONE:-fallback}-${A:+set} A=changed
ENV OLD form of it
ENV GIVEN=${GIVEN:-none}
RUN echo "$TAG $GIVEN $DEFAULTED $QUOTED $A $D" > /arguments
LABEL a=$A "b c"="$D" c='$A'
WORKDIR /${DEFAULTED}/$A
WORKDIR below
RUN pwd > here
COPY $DEFAULTED.txt ${NONE:-./copied.txt}
CMD echo $A
""",
        "default.txt": "x",
    },
    options=("--build-arg", "BASE=busybox", "--build-arg", "GIVEN=given", "--label", "z=1"),
    command=("cat", "/arguments"),
    output="latest given default two words changed one-two words-fallback-set\n",
)

_USERS = Project(
    files={
        "Dockerfile": """
FROM busybox
RUN printf "team:x:2000:\\ndev:x:2002:\\n" >> /etc/group && mkdir -p /home/dev && \\
    echo dev:x:2001:2000::/home/dev:/bin/sh >> /etc/passwd && chown dev:team /home/dev
COPY --chown=dev:team a /srv/a
COPY --chown=dev sub /srv/sub/
COPY --chown=5:6 sub /new/parents/sub/
COPY --chown=5:6 a /other/parents/file
COPY --chown=5:6 a /third/parents/
COPY a /fourth/parents/file
COPY tool /usr/local/bin/
RUN chmod 4755 /usr/local/bin/tool && mkdir /private && chmod 700 /private
USER dev:team
WORKDIR /home/dev/project
RUN touch /home/dev/mine && id > /home/dev/id
USER 0
RUN chown -R 7:8 /srv/sub
""",
        "a": "a",
        "sub/x": "x",
        "sub/deep/y": "y",
        "tool": "#!/bin/sh\necho tool\n",
    },
    modes={"tool": 0o755, "sub/x": 0o600},
    command=("cat", "/home/dev/id"),
)

_TRIGGERS = Project(
    files={
        "Dockerfile": """
FROM busybox AS base
ONBUILD COPY src /app/src
ONBUILD RUN ls /app/src > /app/list
ONBUILD ENV TRIGGERED=yes
RUN mkdir /app
FROM base AS application
RUN echo $TRIGGERED >> /app/list
""",
        "src/one": "1",
        "src/two": "2",
    },
    command=("cat", "/app/list"),
    output="one\ntwo\nyes\n",
)

_DELETIONS = Project(
    files={
        "Dockerfile": """
FROM busybox
RUN mkdir -p /data/deep /gone && echo a > /data/a && echo b > /data/deep/b && echo c > /gone/c
RUN rm /data/a && rm -r /gone
RUN rm -r /data && mkdir /data && echo new > /data/new
RUN echo x > /data/x && ln /data/x /data/hard && ln -s x /data/soft && mkfifo /data/pipe
RUN true
RUN rm /bin/wget && mv /data/new /data/moved
COPY over /data/
""",
        "over/moved": "copied over",
        "over/deep/again": "again",
    },
    command=("sh", "-c", "cat /data/moved /data/soft; ls /bin/wget"),
)

_SHELLS = Project(
    files={
        "Dockerfile": r"""
# escape=`
FROM busybox
MAINTAINER Somebody <some@body>
SHELL ["/bin/sh", "-e", "-c"]
RUN echo one `
    # a comment within
    && echo two > /two
RUN ["/bin/sh", "-c", "echo exec form > /exec"]
ENV windows=c:\path
ENTRYPOINT echo entry $windows
HEALTHCHECK NONE
""",
    },
    output="entry c:\\path\n",
)

_PATTERNS = Project(
    files={
        "Dockerfile": r"""
FROM busybox
RUN mkdir -p /real/folder && ln -s /real/folder /link && \
    ln -s ../../../outside /link2 && echo x > /x
COPY conf/*.conf /etc/app/
COPY conf/?.txt conf/[xy].ini /etc/app/
COPY conf /link/conf
COPY a /link/
COPY a /link2
COPY ["with space", "/spaced/to here"]
COPY follow /followed
COPY tree /
COPY . /all/
""",
        ".dockerignore": "*.log\n**/secret*\n!keep/secret.ok\nskipped\n",
        "conf/a.conf": "a",
        "conf/b.conf": "b",
        "conf/c.txt": "c",
        "conf/dd.txt": "dd",
        "conf/x.ini": "x",
        "conf/z.ini": "z",
        "a": "a",
        "with space": "s",
        "follow": "-> a",
        "tree/usr/share/doc": "doc",
        "tree/tmp/t": "t",
        "x.log": "log",
        "deep/down/secret.key": "k",
        "keep/secret.ok": "ok",
        "skipped/s": "s",
        "dangling": "-> /etc/shadow-of-nobody",
        "folder link": "-> conf",
    },
    command=("sh", "-c", "cat /outside /real/folder/a"),
    output="aa",
)

_TARGETS = Project(
    files={
        "Dockerfile": """
FROM busybox AS common
RUN echo common > /common
FROM common AS test
RUN echo tested > /tested
FROM scratch AS release
COPY --from=0 /common /
COPY --from=test /tested /etc/passwd /files/
COPY --from=busybox:latest /bin/busybox /bin/sh
RUN echo made in release > /release
FROM release
RUN exit 9
""",
    },
    options=("--target", "release"),
    command=("/bin/sh", "-c", "read line < /release; echo $line"),
    output="made in release\n",
)

PROJECTS = {
    "python-service": _PYTHON_SERVICE,
    "compiled": _COMPILED,
    "static-site": _STATIC_SITE,
    "arguments": _ARGUMENTS,
    "users": _USERS,
    "triggers": _TRIGGERS,
    "deletions": _DELETIONS,
    "shells": _SHELLS,
    "patterns": _PATTERNS,
    "targets": _TARGETS,
}
