"""A number and its digits in quotes are one: whichever a spec has, the next plan is empty."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from alb_reconcile.cli.render.editor_schema import accept_variables
from alb_reconcile.cli.render.schema import bundle
from alb_reconcile.model.errors import SpecError
from tests.harness import demo, load
from tests.kinds.conftest import hand as hand
from tests.kinds.hand import edited

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Spec
    from tests.kinds.hand import Hand


def written(number: Callable[[Any], Any], code: Any) -> Spec:
    """The demo with settings that AWS has as numbers or as texts, all in one of the two ways."""
    spec = demo()
    spec["tags"] = {"build": number(7)}
    spec["instances"]["web"] |= {"count": number(2), "root_volume": {"volume_size": number(20)}}
    group = spec["target_groups"]["web"]
    group["health_check"] |= {"matcher": number(200), "port": number(group["port"]), "interval_seconds": number(10)}
    group["attributes"] = {"deregistration_delay.timeout_seconds": number(30)}
    (balancer,) = spec["load_balancers"].values()
    away = {"protocol": "HTTPS", "host": "example.com", "port": number(443), "status_code": code}
    (listener,) = balancer["listeners"].values()
    listener["rules"] = {
        "gone": {
            "priority": number(10),
            "conditions": [{"query_string": [{"key": "v", "value": number(1)}]}],
            "action": {"fixed_response": {"status_code": number(404)}},
        },
        "away": {"priority": number(20), "conditions": [{"path_pattern": "/away"}], "action": {"redirect": away}},
    }
    return spec


WAYS: dict[str, Callable[[], Spec]] = {
    "numbers": lambda: written(int, 301),
    "texts": lambda: written(str, "301"),
    "AWS's word": lambda: written(int, "HTTP_301"),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_is_the_same(hand: Hand, way: str) -> None:
    schema = json.loads(json.dumps(accept_variables(bundle())))
    assert not [*Draft202012Validator(schema).iter_errors(WAYS[way]())], "editors take it"
    hand.make(WAYS[way]())
    for other in WAYS.values():
        assert not hand.world.plan(other()).steps


@pytest.mark.parametrize("port", ["70000", "080", "8O80", 70000, 80.5])
def test_what_is_out_of_range_or_no_number_is_refused_either_way(port: Any) -> None:
    with pytest.raises(SpecError):
        load(edited(demo(), "target_groups/web/port", port))
