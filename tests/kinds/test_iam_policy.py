"""The policies of `iam-policy`: each shipped spec is planned, made, kept in sync and destroyed with exactly that."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.engine.iam_policy import policy_documents
from alb_reconcile.model.lookup import lookups_in
from alb_reconcile.sandbox.others import make_others
from tests.harness import REGION, SPECS, Spec, _target, load, world
from tests.kinds.authorization import Guard
from tests.kinds.test_iam_actions import LOOKED_FOR
from tests.specs.test_translated import FILES as TRANSLATED
from tests.specs.test_translated import prepare

if TYPE_CHECKING:
    from pathlib import Path

    from alb_reconcile.engine.iam_policy import Command
    from tests.harness import World

ACCOUNT = "123456789012"
OWN = sorted(SPECS.glob("*.yaml"))
VARIABLES = {
    "REGION": REGION, "EC2_SSH_KEY_NAME": "ops", "MY_IP": "198.51.100.7", "AWS_REGION": REGION,
    "CERTIFICATE_ARN": f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f",
}  # fmt: skip


def ready(there: World, file: Path) -> Spec:
    """A shipped spec, with what it names of others."""
    if file in TRANSLATED:
        return prepare(there, file)
    text = re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", lambda found: VARIABLES.get(found[1], found[2] or ""), file.read_text())
    spec: Spec = yaml.safe_load(text)
    wanted = load(spec).desired.values()
    found = {item for each in wanted for item in lookups_in(each.state)}
    lookups = [
        {"kind": item.kind, "tags": dict(item.tags), "parameter": item.parameter, "many": item.many, "words": item.words, "domain": item.domain}
        for item in found
    ]  # fmt: skip
    make_others(
        there.strict, REGION, json.loads(json.dumps([asdict(item.state) for item in wanted], default=str)), lookups
    )
    there.clock.advance(60)
    return spec


def policies(spec: Spec, command: Command) -> list[dict[str, Any]]:
    return policy_documents([_target(spec, destroy=False)], command, ACCOUNT, {})


@pytest.mark.parametrize("file", [*OWN, *TRANSLATED], ids=lambda file: file.stem)
def test_its_policies_are_enough(file: Path) -> None:
    with world() as there:
        spec = ready(there, file)
        guard = Guard(there)
        guard.documents = policies(spec, "apply")
        result = there.apply(spec)
        assert guard.denied == []
        assert not result.failures
        guard.documents = policies(spec, "plan")
        assert there.plan(spec).is_empty
        assert guard.denied == []
        guard.documents = policies(spec, "sync")
        there.sync(spec)
        assert guard.denied == []
        guard.documents = policies(spec, "destroy")
        result = there.apply(spec, destroy=True, allow={"lift-protection": 1})
        assert {request.action for request in guard.denied} <= LOOKED_FOR
        assert not result.failures
