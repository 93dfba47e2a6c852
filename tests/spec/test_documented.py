"""What AWS's models say of attributes and regions, and whether we say the same: a new botocore may know more than we do."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import botocore
import pytest
from jsonschema import Draft202012Validator

from alb_reconcile.sandbox.strict.elb_attributes import (
    BALANCER_VALUES,
    FUNCTION_DEFAULTS,
    GROUP_VALUES,
    Values,
    balancer_defaults,
    group_defaults,
)
from alb_reconcile.spec.schema import resolved
from tests.test_conformance import model

DATA = Path(botocore.__file__).parent / "data"
OF_OTHERS = re.compile(r"(by only|only by|only if) .*(Network Load Balancers|Gateway Load Balancers)")
SHAPES = {"load_balancer": "LoadBalancerAttribute", "target_group": "TargetGroupAttribute"}


@cache
def documented(kind: str) -> dict[str, str]:
    """The attributes of an Application Load Balancer, or of its groups, and what is said of each."""
    shape = model("elbv2")["shapes"][SHAPES[kind]]
    found: dict[str, str] = {}
    for part in shape["members"]["Key"]["documentation"].split("<p>The following attribute")[1:]:
        introduction, *items = re.split(r"<li> <p> <code>(?=[a-z_0-9]+\.)", part)
        if not OF_OTHERS.search(introduction):
            found |= {key: text for key, _, text in (item.partition("</code>") for item in items)}
    return found


def schema_of(kind: str) -> dict[str, Any]:
    """What a spec may say under `attributes`, by attribute."""
    attributes = resolved(kind)["properties"]["attributes"]
    described: dict[str, Any] = attributes["allOf"][0]["properties"]
    assert attributes["propertyNames"]["enum"] == list(described)
    return described


@pytest.mark.parametrize("kind", SHAPES)
def test_the_attributes_are_those_that_aws_documents(kind: str) -> None:
    """In the schema and in the emulator: neither more nor fewer."""
    emulated = balancer_defaults() if kind == "load_balancer" else group_defaults("HTTP2") | FUNCTION_DEFAULTS
    assert len(documented(kind)) > 15
    assert schema_of(kind).keys() == documented(kind).keys()
    assert emulated.keys() == documented(kind).keys()


@pytest.mark.parametrize("kind", SHAPES)
def test_values_are_those_that_aws_documents(kind: str) -> None:
    """As far as the text says them in a way that can be read: the schema and the emulator take them, and no others."""
    emulated = BALANCER_VALUES if kind == "load_balancer" else GROUP_VALUES
    read = 0
    for key, text in documented(kind).items():
        taken, refused = said_of(text)
        if "can't be changed" in text:
            refused.add("false")
        for value in taken | refused:
            expected = value not in refused
            assert Draft202012Validator(schema_of(kind)[key]).is_valid(value) is expected, (key, value)
            assert emulated.get(key, Values(("true", "false"))).have(value) is expected or "changed" in text, (
                key,
                value,
            )
        read += bool(taken)
    assert read > 10


def said_of(text: str) -> tuple[set[str], set[str]]:
    """Values that a description names, and others beside them."""
    if numbers := re.search(r"range is (\d+)(?: second to .*?\(|-)(\d+)", text):
        least, most = map(int, numbers.groups())
        return {str(least), str(most)}, {str(least - 1), str(most + 1)}
    said = re.search(r"values?(?: for the attribute)? (?:is|are):? (.*?)(?:\. |$)", text, re.DOTALL)
    words = set(re.findall(r"<code>(\w+)</code>", said[1] if said else ""))
    return words, {"x", ""} if words else set()


def test_the_regions_are_those_that_aws_documents() -> None:
    """Of all partitions; a spec may name another, which is a warning."""
    known: set[str] = set()
    for name in ("endpoints", "partitions"):
        for partition in json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))["partitions"]:
            known |= {region for region in partition["regions"] if not region.endswith("-global")}
    assert len(known) > 40
    region = resolved("stack")["properties"]["region"]
    assert region["examples"] == sorted(known)
    assert [name for name in known if not re.fullmatch(region["pattern"], name)] == []
