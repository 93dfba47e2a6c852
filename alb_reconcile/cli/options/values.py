"""The values of options: read, or refused with what is wanted."""

import argparse
import re
from collections.abc import Callable
from typing import Any, Final

from alb_reconcile.model.text import parse_duration


class Assignment(argparse.Action):
    """`--set NAME=VALUE`, as often as wanted, into a dict."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: str | None = None
    ) -> None:
        name, equals, value = str(values).partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            parser.error(f"--set expects NAME=VALUE, not {values!r}")
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), name: value})


COUNTED: Final = (
    "delete",
    "replace",
    "delete-load-balancer",
    "replace-load-balancer",
    "touch",
    "never-delete",
    "lift-protection",
)
"""What `--allow` takes a number of; `any-time` stands alone."""


class Allowance(argparse.Action):
    """`--allow WHAT=N` or `--allow any-time`, as often as wanted, into a dict."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: str | None = None
    ) -> None:
        name, equals, number = str(values).partition("=")
        if name == "any-time" and not equals:
            number = "1"
        elif name not in COUNTED or not (number.isascii() and number.isdigit()) or len(number) > 6:
            wanted = ", ".join(f"{item}=N" for item in COUNTED)
            parser.error(f"--allow expects {wanted} or any-time, not {values!r}")
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), name: int(number)})


class Detour(argparse.Action):
    """`--connect-to PORT=HOST:PORT`, as often as wanted, into a dict."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: str | None = None
    ) -> None:
        match = re.fullmatch(r"([0-9]{1,5})=\[?([^\s/\[\]]{1,253}?)\]?:([0-9]{1,5})", str(values))
        if not match or not all(1 <= int(port) <= 65535 for port in (match[1], match[3])):
            parser.error(f"--connect-to expects PORT=HOST:PORT, such as 443=localhost:8443, not {values!r}")
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), int(match[1]): (match[2], int(match[3]))})


def given(text: str) -> str:
    """Any text but an empty one: an unset variable of a script must not read as an option left out."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; give a value, or leave it out")
    return text


def positive(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a number from 1 to 64")
    return int(text)


def stack_name(text: str) -> str:
    """A name becomes a part of the lock's path, whoever once gave it to a stack."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,62}", text):
        raise argparse.ArgumentTypeError(f"{text!r} isn't a stack's name: letters a to z, digits and hyphens")
    return text


def port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a port from 1 to 65535")
    return int(text)


def ports(text: str) -> str:
    return ",".join(str(port(item)) for item in text.split(","))


def speed(text: str) -> float:
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text) or not 1 <= float(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a number from 1 to 1000")
    return float(text)


def lag(text: str) -> float:
    if not re.fullmatch(r"\d{1,2}(\.\d{1,3})?", text) or float(text) > 60:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a number of seconds from 0 to 60")
    return float(text)


def number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} isn't a number from {least} to {most}")
        return int(text)

    return parse


def sigmas(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", text) or not 1 <= float(text) <= 10:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a number from 1 to 10")
    return float(text)


def interval(text: str) -> int:
    found = duration(text)
    if found < 10:
        raise argparse.ArgumentTypeError(f"{text!r} is shorter than 10s")
    return found


def duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
