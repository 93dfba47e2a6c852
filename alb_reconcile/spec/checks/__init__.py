"""Checks across entries: what a JSON schema can't say. Each takes the outline and reports to it."""

from alb_reconcile.spec import runs
from alb_reconcile.spec.checks import (
    accepted,
    addresses,
    balancing,
    certificates,
    egress,
    encryption,
    endpoints,
    instances,
    keys,
    lookups,
    names,
    network,
    pools,
    ranges,
    reachability,
    records,
    redirects,
    rules,
    targets,
    unreachable,
    vpcs,
)
from alb_reconcile.spec.outline import Outline


def run_checks(outline: Outline) -> None:
    """All of them, in the order in which a reader would want to mend things."""
    for module in (
        names, lookups, network, ranges, pools, encryption, endpoints, keys, instances, certificates, balancing, rules, records, targets, vpcs, reachability, egress,
        addresses, runs, unreachable, redirects, accepted,
    ):  # fmt: skip
        module.check(outline)
