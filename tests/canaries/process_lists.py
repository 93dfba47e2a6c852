"""What every user of a machine may read of its processes: their arguments; and what their own user may, their environment."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_STARTS = {"subprocess.Popen": (0, 1, 3), "os.posix_spawn": (0, 1, 2), "os.exec": (0, 1, 2), "os.spawn": (1, 2, 3)}
"""By Python's audit event: which of its arguments are the program, the program's arguments and the environment."""
_UNKNOWN = ("os.system", "os.fork", "os.forkpty")
"""Events that don't tell what is run, or run it in a shell."""


class Child(NamedTuple):
    """A process that was started."""

    arguments: bytes
    """With the program's path before them."""
    environment: bytes

    @property
    def command(self) -> str:
        """Its arguments, to read."""
        return self.arguments.replace(b"\0", b" ").decode(errors="replace")


class _Recording:
    """An audit hook can't be removed: this one does nothing while no test looks."""

    children: list[Child] | None = None
    is_installed = False

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.children is None:
            return
        if event in _STARTS:
            program, given, environment = (arguments[place] for place in _STARTS[event])
            words = [given] if isinstance(given, str | bytes | os.PathLike) else given
            told = os.environ if environment is None else environment
            pairs = [os.fsencode(name) + b"=" + os.fsencode(value) for name, value in told.items()]
            self.children.append(Child(_joined([program or b"", *words]), _joined(pairs)))
        elif event in _UNKNOWN:
            self.children.append(Child(_joined([event, *map(str, arguments)]), b""))


_RECORDING = _Recording()


@contextmanager
def recorded_children() -> Iterator[list[Child]]:
    """Every process that this one starts within the block, as Python's audit events tell it."""
    if not _RECORDING.is_installed:
        sys.addaudithook(_RECORDING.hear)
        _RECORDING.is_installed = True
    found: list[Child] = []
    _RECORDING.children = found
    try:
        yield found
    finally:
        _RECORDING.children = None


def process_list() -> dict[int, Child]:
    """All processes of this machine, by their ids; without an environment where that is another user's."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            found[int(place.name)] = Child((place / "cmdline").read_bytes(), _environment(place))
    return found


def descendants(pids: Iterable[int]) -> set[int]:
    """These processes, and all that they have started and that runs."""
    parents: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(file.parent.name)] = int(file.read_text(errors="replace").rpartition(")")[2].split()[1])
    found = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def texts_of(children: Iterable[Child]) -> Mapping[str, bytes]:
    """The arguments of each, by what they are called in a failure."""
    return {f"process {number}": child.arguments for number, child in enumerate(children, 1)}


def _environment(place: Path) -> bytes:
    with suppress(OSError):
        return (place / "environ").read_bytes()
    return b""


def _joined(words: Iterable[Any]) -> bytes:
    return b"\0".join(map(os.fsencode, words))
