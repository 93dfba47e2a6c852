"""Listeners and rules that authenticate: exported without a secret, which AWS never shows, and adopted with the one that it has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.export.scope import ExportScope
from alb_reconcile.model.abilities import action_of
from tests.adoption.adopting import our_tags
from tests.export.exporting import adopted, exported, loaded, steps
from tests.harness import load
from tests.kinds.test_authentication import COGNITO, JWT, SECRET, behind, oidc, put
from tests.kinds.test_listener import upload_certificates

if TYPE_CHECKING:
    from pathlib import Path

    from alb_reconcile.spec.stack import Stack
    from tests.adoption.adopting import Keeper
    from tests.properties.watched import WatchedWorld


@pytest.mark.parametrize(
    "action",
    [
        oidc(ssm="/web/oidc"),
        pytest.param({"authenticate_cognito": COGNITO}, marks=pytest.mark.slow),
        {"jwt_validation": JWT},
    ],
    ids=lambda action: next(iter(action)),
)
def test_what_authenticates_comes_over_as_it_is(
    world: WatchedWorld, keep: Keeper, action: dict[str, Any], tmp_path: Path
) -> None:
    upload_certificates()
    put()
    spec = behind(action)
    world.converge(spec)
    vpc = next(key for key in our_tags(world) if key.startswith("vpc-"))
    keep.forget(spec)
    found = exported(world, ExportScope(vpcs=(vpc,)), tmp_path)
    assert found.problems == ()
    assert SECRET not in found.text
    assert ("adopt --keep-secrets takes it" in found.text) == ("authenticate_oidc" in action)
    assert found.text.count("{env: OIDC_CLIENT_SECRET") == 2 * ("authenticate_oidc" in action)
    assert _without_secrets(loaded(found, tmp_path)) == _without_secrets(load(spec))
    assert steps(adopted(world, found, tmp_path)) == []


def _without_secrets(stack: Stack) -> set[str]:
    """Who is asked for what, in words."""
    actions = [action_of(item.state).authentication for item in stack.desired.values()]
    return {str(replace(item, client_secret=None)) for item in actions if item}
