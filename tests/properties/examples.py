"""What each kind's tests say of it (`EXAMPLE`), as stacks: no kind is named here."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.errors import SpecError
from tests.harness import Spec, load
from tests.kinds.example import example_of

KINDS = load_kinds()
PROTECTION = "prevent_destroy"
"""What it spares has tests of its own; here everything is destroyed in the end."""


def loads(spec: Spec) -> bool:
    """Whether a spec is valid."""
    try:
        load(spec)
    except SpecError:
        return False
    return True


def prepare(*kinds: str) -> None:
    """Make what the kinds' examples only name."""
    for do in dict.fromkeys(example_of(kind).prepare for kind in kinds):
        do()


@cache
def changed(kind: str) -> Spec:
    """A kind's example with another value of all that can be changed, as far as that goes together."""
    example = example_of(kind)
    spec = example.spec
    for address, path, value in example.every_change:
        other = replace(example, spec=spec).with_change(address, path, value)
        spec = other if loads(other) else spec
    return spec
