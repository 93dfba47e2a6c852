"""What AWS's errors mean for the calls that got them."""

from __future__ import annotations

import pytest

from alb_reconcile.model.errors import AwsError
from tests.aws.test_answers import answering

LIMITED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit exceeded.</Message></Error></Errors></Response>"""
BROKEN = LIMITED.replace(b"RequestLimitExceeded", b"InternalError")


@pytest.mark.parametrize(("body", "throttled"), [(LIMITED, True), (BROKEN, False)])
def test_a_call_that_is_throttled_has_had_no_effect(body: bytes, throttled: bool) -> None:
    """EC2 says so with status 503; after others of that status nobody knows."""
    with answering(503, body) as (transport, _), pytest.raises(AwsError) as caught:
        transport("ec2", "create_vpc", {"CidrBlock": "10.0.0.0/16"}, once=True)
    assert (caught.value.is_throttled, caught.value.ambiguous) == (throttled, not throttled)
    assert caught.value.is_passing
