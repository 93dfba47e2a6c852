"""The end of an instance's console, behind the message that its target doesn't get healthy."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds._console import end_of_console
from alb_reconcile.model.errors import AwsError


class _Ec2:
    """GetConsoleOutput of an instance; `refused` are the calls that AWS refuses."""

    def __init__(self, text: str, *refused: dict[str, Any]) -> None:
        self.text, self.refused = text, refused

    async def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        assert (service, operation, params.pop("InstanceId")) == ("ec2", "get_console_output", "i-1")
        if params in self.refused:
            raise AwsError(service, operation, "UnsupportedOperation", "no", "")
        return {"Output": self.text}  # as botocore hands it over


def told(aws: _Ec2) -> str:
    return asyncio.run(end_of_console(cast(Aws, aws), "i-1"))


LOG = "".join(f"line {number}\n\n" for number in range(20)) + "setup failed: \x1b[31m" + "x" * 300


def test_the_last_lines_are_told_without_what_a_terminal_would_obey() -> None:
    text = told(_Ec2(LOG))
    assert text.startswith("; the console of i-1 ends with: line 15 | line 16 | ")
    assert "\x1b" not in text
    assert len(text) < 300


@pytest.mark.parametrize("refused", [({"Latest": True},), ({"Latest": True}, {})], ids=["not Nitro", "no permission"])
def test_what_aws_refuses_is_no_further_failure(refused: tuple[dict[str, Any], ...]) -> None:
    assert bool(told(_Ec2(LOG, *refused))) == (len(refused) == 1)


def test_an_empty_console_adds_nothing() -> None:
    assert told(_Ec2("")) == ""
