"""Converts what argparse has read into the typed options of one command."""

import argparse
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

_T = TypeVar("_T")


def options_of(command: Callable[..., Any]) -> type[Any] | None:
    """The dataclass that annotates a command's parameter `options`; None if the command takes none."""
    return get_type_hints(command).get("options")


def fill(options: type[_T], parsed: argparse.Namespace) -> _T:
    """A command's options, each field filled by its name.

    A field that is a dataclass itself, a group of options, is filled likewise; lists become tuples. Raises
    AttributeError for a field that is no option of the command.
    """
    hints = get_type_hints(options)
    values = {item.name: _value(item.name, hints[item.name], parsed) for item in fields(options)}  # type: ignore[arg-type]  # a dataclass, which type[_T] can't say
    return options(**values)


def _value(name: str, hint: Any, parsed: argparse.Namespace) -> Any:
    if isinstance(hint, type) and is_dataclass(hint):
        return fill(hint, parsed)
    value = getattr(parsed, name)
    return tuple(value) if isinstance(value, list) else value
