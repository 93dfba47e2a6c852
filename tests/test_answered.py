"""What `answered` makes of moto's results is what comes over the wire."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from moto.core.responses import ActionResult, BaseResponse

from alb_reconcile.sandbox.strict import aws as strict
from alb_reconcile.sandbox.strict.inventory import answer, parse
from tests import answered, direct
from tests.properties.scene import SHAPES, scene

each = pytest.mark.parametrize(
    "shape", [shape if shape == "bare" else pytest.param(shape, marks=pytest.mark.slow) for shape in SHAPES]
)


@each
def test_answers_without_the_wire_are_the_wires(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that a stack gets while it is made, planned and destroyed."""
    seen: Counter[str] = Counter()

    def compared(response: BaseResponse, result: Any) -> dict[str, Any]:
        action, service = response._get_action(), response.boto3_service_name
        found = answered.answer_of(response, result)
        assert found == parse(service, action, *BaseResponse.serialized(response, ActionResult(result))), action
        seen[action] += 1
        return found

    monkeypatch.setattr(direct, "answer_of", compared)
    with scene(shape) as made:
        assert made.account.plan(made.spec).is_empty
        unprotected = json.loads(json.dumps(made.spec).replace('"prevent_destroy": true', '"prevent_destroy": false'))
        made.account.converge(unprotected)
        made.account.destroy(unprotected, allow={"lift-protection": 9})
    assert len(seen) >= 25, seen


@each
def test_inventories_without_the_wire_are_the_wires(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with scene(shape) as made:
        found = made.account.strict.inventory()
        monkeypatch.setattr(strict, "answer", answer)
        assert found == made.account.strict.inventory()
    assert len(found) > 10
