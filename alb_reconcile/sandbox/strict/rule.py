"""Defines a rule of the strict AWS: a function that runs before, around or after one or more API actions."""

import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Any, Final, Literal, NoReturn

from .clock import Timing
from .world import World


class RefusedError(Exception):
    """The error that the client gets."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


@dataclass
class Call:
    """An API request that moto hasn't answered yet."""

    action: str
    params: MutableMapping[str, Any]
    world: World
    timing: Timing
    now: float
    moment: datetime  # `now` as date and time, which users see

    def given(self, name: str, default: Any = None) -> Any:
        value = self.params.get(name)
        return default if value is None else value


_ILL: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def refuse_ill_characters(service: str, params: Any) -> None:
    """Refuse values with characters that XML 1.0 can't contain, since answers of EC2 and ELBv2 are XML (EC2, "Client error codes":
    InvalidParameterValue; ELBv2: ValidationError)."""
    if isinstance(params, Mapping):
        params = [*params.keys(), *params.values()]
    if isinstance(params, list):
        for item in params:
            refuse_ill_characters(service, item)
    elif isinstance(params, str) and (found := _ILL.search(params)):
        code = "InvalidParameterValue" if service == "ec2" else "ValidationError"
        refuse(code, f"A parameter has the character U+{ord(found[0]):04X}, which is not valid")


Before = Callable[[Call], None]
Around = Callable[[Call, Callable[[], Any]], Any]
After = Callable[[Call, Any], Any]


@dataclass(frozen=True)
class Rule:
    """A function, the actions to which it applies, and whether it runs before, around or after moto."""

    name: str
    actions: tuple[str, ...]
    phase: Literal["before", "around", "after"]
    apply: Callable[..., Any]


def before(*actions: str) -> Callable[[Before], Rule]:
    """Make a rule that checks a request before moto: it may refuse the request, or complete its parameters."""
    return lambda function: Rule(function.__name__, actions, "before", function)


def around(*actions: str) -> Callable[[Around], Rule]:
    """Make a rule that answers a request, with or without moto's answer."""
    return lambda function: Rule(function.__name__, actions, "around", function)


def after(*actions: str) -> Callable[[After], Rule]:
    """Make a rule that completes moto's answer."""
    return lambda function: Rule(function.__name__, actions, "after", function)


def rules_in(modules: Iterable[ModuleType]) -> list[Rule]:
    return [value for module in modules for value in vars(module).values() if isinstance(value, Rule)]


def refuse(code: str, message: str, status: int = 400) -> NoReturn:
    """Answer the request with an AWS error."""
    raise RefusedError(code, message, status)
