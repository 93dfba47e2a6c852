"""The IAM actions that each kind states are those that it calls, and its policies are enough for a whole life."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.api.iam_policy import policy_documents
from alb_reconcile.kinds import load_kinds
from tests.at_length import SOAK
from tests.harness import REGION, load
from tests.kinds.authorization import LOOKED_FOR, Guard, types_of
from tests.kinds.example import example_of
from tests.properties.scenes import ALLOW
from tests.properties.watched import watched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alb_reconcile.api.iam_policy import Command
    from tests.harness import Spec

KINDS = load_kinds()


@pytest.mark.parametrize("name", [*KINDS] if SOAK else [*KINDS][::3])
def test_its_actions_are_enough_and_all_are_called(name: str) -> None:
    example = example_of(name)
    with watched() as world:
        example.prepare()
        specs = [example.spec, *(example.with_change(*change) for change in example.every_change)]
        guard = Guard(world)
        guard.documents = policies(specs, "apply")
        for spec in specs:
            world.converge(spec, allow={**ALLOW, **example.allow})
            world.clock.advance(example.rest)
        assert guard.denied == []
        guard.documents = policies(specs, "destroy")
        world.converge(example.spec, destroy=True, allow={**ALLOW, **example.allow})
        assert {request.action for request in guard.denied} <= LOOKED_FOR
    found = KINDS[name].iam_actions
    stated = {*found.read, *found.look, *found.create, *found.update, *found.delete}
    assert stated - guard.used == example.uncalled.keys()


def policies(specs: Sequence[Spec], command: Command) -> list[dict[str, object]]:
    """For all of these, of one stack."""
    return policy_documents([load({"region": REGION, **spec}).target() for spec in specs], command)


@pytest.mark.parametrize("name", KINDS)
def test_what_is_said_of_its_actions_is_in_the_service_authorization_reference(name: str) -> None:
    found = KINDS[name].iam_actions
    stated = {*found.read, *found.look, *found.create, *found.update, *found.delete}
    types = {action: types_of(action) for action in stated}  # raises for an action that isn't there
    assert found.on.keys() | found.fields.keys() <= stated
    for action, text in found.on.items():
        for token in text.split():
            _, by_request, by_own = types[action][token.rstrip("+*")] if token != "*" else (False, True, True)
            assert by_request if token.endswith("+") else by_own or token.endswith("*"), (action, token)
        named = {token.rstrip("+*") for token in text.split()}
        needed = {
            item for item, (is_required, *_) in types[action].items() if is_required and not item.endswith("/net")
        }
        assert not text or needed <= named | {"image", "listener-rule/app"}, action
    for names in found.fields.values():
        assert all(
            hasattr(KINDS[name].properties, field) or field in KINDS[name].properties.__dataclass_fields__
            for field in names.split()
        )
