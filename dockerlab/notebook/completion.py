"""What the Tab key offers in a magic's line: flags, images, containers, volumes, engines.

Names come from an engine that runs; none is started for a Tab, and nothing is asked of a registry.
IPython's matcher interface is that of `IPython.core.completer`, version 2.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dockerlab.errors import DockerlabError
from dockerlab.notebook.commands import COMMANDS
from dockerlab.notebook.connection import Connection
from dockerlab.notebook.dockerlines import find_command
from dockerlab.notebook.options import Command, Completes

if TYPE_CHECKING:
    from dockerlab.client.session import Session

__all__ = ["Completion"]


class Completion:
    """Completes the lines of our magics.

    Parameters
    ----------
    connection : Connection
        Where names of images and containers come from.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def install(self, shell: Any) -> None:
        """Add the matcher to a shell's completer, in place of one that an earlier load left."""
        self.uninstall(shell)
        shell.Completer.custom_matchers.append(_matcher(self))

    @staticmethod
    def uninstall(shell: Any) -> None:
        """Take every matcher of this class away again."""
        matchers = shell.Completer.custom_matchers
        matchers[:] = [found for found in matchers if not hasattr(found, "is_of_dockerlab")]

    def complete(self, line: str) -> list[str]:
        """Return the words that can stand where the last word of `line` is.

        Examples
        --------
        >>> Completion(Connection()).complete("%images --dig")
        ['--digests']
        """
        command, words = _read(line)
        if command is None:
            return []
        if command.parts:
            if len(words) == 1:
                return sorted(each.word for each in command.parts if each.word.startswith(words[0]))
            command, words = command.part(words[0]), words[1:]
            if command is None:
                return []
        *before, word = words
        previous = command.find(before[-1]) if before else None
        if previous is not None and previous.metavar:
            return self._starting(word, previous.completes)
        if command.ends_at_operand and _has_operand(command, before):
            return []
        if word.startswith("-"):
            spellings = [text for option in command.options for text in option.spellings]
            return sorted(text for text in spellings if text.startswith(word))
        return self._starting(word, command.completes)

    def _starting(self, word: str, completes: Completes) -> list[str]:
        return sorted({name for name in self._names(completes) if name.startswith(word)})

    def _names(self, completes: Completes) -> Iterable[str]:
        if completes == "engine":
            from dockerlab.client.engines import list_engines
            from dockerlab.config import process_environment

            return [engine.name for engine in list_engines(process_environment())]
        session = self._connection.peek() if completes else None
        if session is None:
            return ()
        from dockerlab.client.refusals import engine_errors

        try:
            with engine_errors(session.address):
                return _LISTS[completes](session)
        except DockerlabError:
            # A Tab is no place for an error: the next magic will say it.
            return ()


def _matcher(completion: Completion) -> Any:
    from IPython.core.completer import SimpleCompletion, context_matcher

    def match(context: Any) -> dict[str, Any]:
        """Answer one press of the Tab key."""
        line = context.text_until_cursor
        # IPython replaces its token, which is less than our word where that has a colon.
        word = "" if line.endswith(" ") else line.rpartition(" ")[2]
        skipped = len(word) - len(context.token)
        found = completion.complete(line)
        return {
            "completions": [SimpleCompletion(text=text[skipped:], type="magic") for text in found],
            # Jedi and the file names would offer words that no magic takes.
            "suppress": bool(found),
        }

    matcher: Any = context_matcher(identifier="dockerlab")(match)
    matcher.is_of_dockerlab = True
    return matcher


def _read(line: str) -> tuple[Command | None, list[str]]:
    """Return the command of a line, and its words; the last one is the one being typed."""
    # `df = %images`: whatever is assigned to stands before the magic.
    start = line.find("%")
    if start < 0 or (start > 0 and not line[:start].rstrip().endswith("=")):
        return None, []
    words = line[start:].lstrip("%").split()
    if line.endswith(" "):
        words.append("")
    if len(words) < 2:  # noqa: PLR2004 - the magic's own name is completed by IPython
        return None, []
    if words[0] == "docker":
        command, rest = find_command(words[1:])
        return command, rest if command is not None else []
    return COMMANDS.get(words[0]), words[1:]


def _has_operand(command: Command, words: list[str]) -> bool:
    is_value = False
    for word in words:
        if is_value:
            is_value = False
        elif word.startswith("-"):
            option = command.find(word)
            is_value = option is not None and bool(option.metavar)
        else:
            return True
    return False


def _images(session: "Session") -> list[str]:
    return [
        tag.removesuffix(":latest")
        for image in session.api.images()
        for tag in image.get("RepoTags") or ()
    ]


def _containers(session: "Session") -> list[str]:
    return [
        name.removeprefix("/")
        for container in session.api.containers(all=True)
        for name in container.get("Names") or ()
    ]


def _places(session: "Session") -> list[str]:
    return [f"{name}:" for name in _containers(session)]


def _volumes(session: "Session") -> list[str]:
    return [str(volume["Name"]) for volume in session.api.volumes().get("Volumes") or ()]


_LISTS: Mapping[Completes, Callable[["Session"], list[str]]] = {
    "image": _images,
    "container": _containers,
    "place": _places,
    "volume": _volumes,
}
