"""A schema may say `number`, though none of ours does: what is asked for is said, and `export` keeps the fraction."""

from __future__ import annotations

from typing import Any, cast

from alb_reconcile.export.entries import EntryWriter
from alb_reconcile.kinds.log_bucket import LogBucket
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Observed
from alb_reconcile.spec.schema import describe_type


def test_what_is_wanted_is_said() -> None:
    assert describe_type({"type": "number"}) == "a number"
    assert describe_type({"type": "number", "minimum": 0.5, "maximum": 1}) == "a number from 0.5 to 1"
    assert describe_type({"type": "integer", "minimum": 1, "maximum": 2}) == "a whole number from 1 to 2"


def test_an_exported_fraction_is_whole() -> None:
    state = LogBucket(expiration_days=cast("int", 1.5))
    found = Observed(Address("log_bucket", "logs"), "arn:aws:s3:::logs", state, {}, "demo")
    assert EntryWriter(cast("Any", None), "us-east-1").write(found)["expiration_days"] == 1.5
