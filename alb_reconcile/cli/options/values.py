"""Parses the values of options, or refuses them with a message that says what is expected."""

import argparse
import re
from collections.abc import Callable
from typing import Any, TypeVar

from alb_reconcile.api.allowances import ANY_TIME, COUNTED
from alb_reconcile.model.errors import SpecError
from alb_reconcile.model.text import parse_duration


class Variables(dict[str, str]):
    """The variables of a command: those of its `--values` files, and those of `--set`, which outrank the files' and are in `told`."""

    told: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()

    def tell(self, name: str, value: str) -> "Variables":
        """These variables and one of `--set`."""
        found = Variables({**self, name: value})
        found.told, found.files = self.told | {name}, self.files
        return found

    def read(self, file: str) -> "Variables":
        """These variables and those of a file, which outrank earlier files'. Raises SpecError."""
        from alb_reconcile.spec.variables import read_values

        more = read_values(file)
        found = Variables({**self, **{name: text for name, text in more.items() if name not in self.told}})
        found.told, found.files = self.told, (*self.files, file)
        return found


class Assignment(argparse.Action):
    """Collects `--set NAME=VALUE`, given any number of times, in a dict."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: str | None = None
    ) -> None:
        name, equals, value = str(values).partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            parser.error(f"--set expects NAME=VALUE, not {_shown(values)}")
        setattr(namespace, self.dest, getattr(namespace, self.dest).tell(name, value))


class ValuesFile(argparse.Action):
    """Collects the variables of `--values FILE`, given any number of times, together with those of `--set`."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: str | None = None
    ) -> None:
        try:
            setattr(namespace, self.dest, getattr(namespace, self.dest).read(str(values)))
        except SpecError as error:
            parser.error(f"--values: {error}")


class Allowance(argparse.Action):
    """Collects `--allow WHAT=N` or `--allow any-time`, given any number of times, in a dict."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: str | None = None
    ) -> None:
        name, equals, number = str(values).partition("=")
        if name == ANY_TIME and not equals:
            number = "1"
        elif name not in COUNTED or not (number.isascii() and number.isdigit()) or len(number) > 6:
            wanted = ", ".join(f"{item}=N" for item in COUNTED)
            parser.error(f"--allow expects {wanted} or any-time, not {_shown(values)}")
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), name: int(number)})


class Detour(argparse.Action):
    """Collects `--connect-to PORT=HOST:PORT`, given any number of times, in a dict."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: str | None = None
    ) -> None:
        match = re.fullmatch(r"([0-9]{1,5})=\[?([^\s/\[\]]{1,253}?)\]?:([0-9]{1,5})", str(values))
        if not match or not all(1 <= int(port) <= 65535 for port in (match[1], match[3])):
            parser.error(f"--connect-to expects PORT=HOST:PORT, such as 443=localhost:8443, not {_shown(values)}")
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), int(match[1]): (match[2], int(match[3]))})


def given(text: str) -> str:
    """The text, unless it is empty: an unset variable of a script must not read as an option left out."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; give a value, or leave it out")
    return text


def stack_name(text: str) -> str:
    """A stack's name, checked since it becomes a part of the lock's path."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,62}", text):
        raise argparse.ArgumentTypeError(f"{_shown(text)} isn't a stack's name: letters a to z, digits and hyphens")
    return text


def role(text: str) -> str:
    if not re.fullmatch(r"[\w+=,.@-]{1,64}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{_shown(text)} isn't a role's name, which has no path and no wildcard")
    return text


def ports(text: str) -> str:
    """Several ports, separated by commas."""
    return ",".join(str(number(1, 65535)(item)) for item in text.split(","))


def number(least: int, most: int) -> Callable[[str], int]:
    return _of(r"[0-9]{1,9}", int, least, most, f"a number from {least} to {most}")


def decimal(least: float, most: float) -> Callable[[str], float]:
    return _of(r"[0-9]{1,4}(\.[0-9]{1,3})?", float, least, most, f"a number from {least} to {most}")


def duration(least: str = "0s") -> Callable[[str], int]:
    """Seconds of a duration up to a month: a longer one is a mistake, and a far longer one exceeds any clock."""
    most, wanted = "720h", f"a duration from {least} to 720h, such as 30s, 5m or 1h"
    return _of(r"[0-9]{1,9}[smh]", parse_duration, parse_duration(least), parse_duration(most), wanted)


_Number = TypeVar("_Number", int, float)


def _of(form: str, read: Callable[[str], _Number], least: float, most: float, wanted: str) -> Callable[[str], _Number]:
    def parse(text: str) -> _Number:
        if not re.fullmatch(form, text) or not least <= read(text) <= most:
            raise argparse.ArgumentTypeError(f"{_shown(text)} isn't {wanted}")
        return read(text)

    return parse


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
