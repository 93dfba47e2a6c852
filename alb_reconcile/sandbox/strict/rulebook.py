"""Lists every rule of the strict AWS, by the action that the rule applies to."""

from collections import defaultdict

from . import (
    acm,
    ec2_addresses,
    ec2_attachments,
    ec2_console,
    ec2_endpoints,
    ec2_gateways,
    ec2_groups,
    ec2_instances,
    ec2_launch,
    ec2_nat,
    ec2_network,
    ec2_options,
    ec2_profiles,
    ec2_ranges,
    ec2_routes,
    ec2_tags,
    ec2_volumes,
    elb_attributes,
    elb_balancers,
    elb_groups,
    elb_listeners,
    elb_logs,
    elb_pools,
    elb_priorities,
    elb_tags,
    elb_targets,
    elb_trust_stores,
    quotas,
    service_roles,
)
from .rule import Rule, rules_in

EC2 = (
    ec2_network,
    ec2_routes,
    ec2_gateways,
    ec2_ranges,
    ec2_endpoints,
    ec2_addresses,
    ec2_nat,
    ec2_groups,
    ec2_launch,
    ec2_options,
    ec2_volumes,
    ec2_attachments,
    ec2_console,
    ec2_instances,
    ec2_profiles,
    ec2_tags,
    quotas,
    service_roles,
)
ELB = (
    acm, elb_balancers, elb_attributes, elb_groups, elb_targets, elb_listeners, elb_priorities, elb_tags, elb_trust_stores,
    elb_pools, elb_logs, quotas, service_roles,
)  # fmt: skip


def book_of_rules() -> dict[tuple[str, str], list[Rule]]:
    book: dict[tuple[str, str], list[Rule]] = defaultdict(list)
    for service, modules in (("ec2", EC2), ("elbv2", ELB)):
        for rule in rules_in(modules):
            for action in rule.actions:
                book[service, action].append(rule)
    return dict(book)
