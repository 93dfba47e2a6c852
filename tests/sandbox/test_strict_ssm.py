"""DescribeParameters says versions and no values, in pages that may be empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sandbox.strict_world import client

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws


def test_a_page_may_be_empty_and_the_next_has_the_version(aws: StrictAws) -> None:
    ssm = client("ssm")
    ssm.put_parameter(Name="/web/oidc", Value="a", Type="SecureString")
    ssm.put_parameter(Name="/web/oidc", Value="b", Type="SecureString", Overwrite=True)
    named = {"ParameterFilters": [{"Key": "Name", "Values": ["/web/oidc"]}]}
    first = ssm.describe_parameters(**named)
    assert first["Parameters"] == []
    (found,) = ssm.describe_parameters(**named, NextToken=first["NextToken"])["Parameters"]
    assert found["Version"] == 2
    assert "Value" not in found
