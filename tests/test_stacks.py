"""`stacks` asks for no more than its row in the documentation's table of permissions allows."""

from __future__ import annotations

import re
from pathlib import Path

from alb_reconcile.cli.commands.status import count_by_stack
from alb_reconcile.model.text import camel
from tests.harness import demo, world

PAGE = Path(__file__).parent.parent / "docs" / "iam.md"


def test_it_asks_for_what_the_readme_says() -> None:
    (row,) = (line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `stacks` |"))
    said = set(re.findall(r"(?:Describe|List)\w+|GetResources", row))
    with world() as aws:
        aws.converge(demo())
        counts, _ = aws._run(count_by_stack)
        asked = sorted(camel(name).replace("ListBuckets", "ListAllMyBuckets") for name, _ in aws.log)
    assert counts["demo"] > 10
    assert said - set(asked) == {
        "DescribeNatGateways",
        *({"GetResources"} - {*asked}),  # if there is a plain kind
        "ListInstanceProfileTags",
        "ListResourceRecordSets",
        "ListTagsForCertificate",
    }, "which are asked where there is one"
    assert set(asked) <= said
