"""Corrects moto's objects where the fault is in the object, not in the answer to a request."""

from typing import Any

from moto.core import errors
from moto.core.common_models import BaseModel
from moto.ec2 import utils
from moto.ec2.models import security_groups
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.route_tables import Route
from moto.ec2.models.security_groups import SecurityGroup, SecurityGroupRule
from moto.ec2.models.subnets import Subnet
from moto.ec2.models.vpcs import VPCEndPoint
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix
from moto.elbv2.models import ELBv2Backend, FakeLoadBalancer

from .ec2_endpoints import endpoint_filter
from .ec2_groups import key_of
from .ec2_ranges import shown_ranges
from .matching import matches

COMMON_ERRORS = [*errors.COMMON_ERROR_CODES, "AccessDenied", "Throttling", "UnsupportedCertificate"]
INSTANCE_FILTERS = {**utils.filter_dict_attribute_mapping, "client-token": "client_token"}


def same_rule(self: Any, other: object) -> bool:
    """Whether two security group rules are the same; descriptions don't count."""
    return isinstance(other, SecurityGroupRule) and key_of(self) == key_of(other)


def rule_description(self: Any) -> str | None:
    """The description of a rule, also of one that names a group (moto: none)."""
    text: str | None = (self.source_group or self.ip_range).get("Description")
    return text


def route_state(self: Any) -> str:
    """DescribeRouteTables: a route is a `blackhole` when its target is gone or detached."""
    if self.nat_gateway is not None:
        found = self.route_table.ec2_backend.nat_gateways.get(self.nat_gateway.id)
        return "active" if found and found.state in ("pending", "available") else "blackhole"
    if self.interface is not None:
        return "active" if self.interface.id in self.route_table.ec2_backend.enis else "blackhole"
    gateway = self.gateway
    if gateway is None:
        return "active"
    known = self.route_table.ec2_backend.internet_gateways
    attached = gateway.id not in known or (gateway.vpc and gateway.vpc.id == self.route_table.vpc_id)
    gone = gateway.id.startswith("igw-") and gateway.id not in known
    return "active" if attached and not gone else "blackhole"


def activate(self: Any) -> None:
    """Do nothing: a load balancer becomes active when its time has come, not when it is described (as in moto)."""


def validate_actions(original: Any) -> Any:
    """Wrap moto's validation of actions, which doesn't know jwt-validation (ActionTypeEnum)."""

    def check(self: Any, actions: list[Any]) -> None:
        original(self, [action for action in actions if action.type != "jwt-validation"])

    return check


_validate_actions = validate_actions(ELBv2Backend._validate_actions)


def filter_matches(resource: Any, name: str, wanted: Any) -> bool:
    """Whether a resource matches a filter: its values are alternatives, and brackets aren't wildcards (moto does neither)."""
    given = [wanted] if isinstance(wanted, str) else wanted
    return given is not None and matches(resource.get_filter_value(name), given)


def tag_matches(resource: Any, name: str, wanted: list[str]) -> bool:
    """Whether a resource matches a filter on tags, by the same rules as `filter_matches`."""
    tags = resource.ec2_backend.tags.get(resource.id, {})
    if name.startswith("tag:"):
        return matches(tags.get(name[4:]), wanted)
    return matches(list(tags) if name == "tag-key" else list(tags.values()), wanted)


def own_tags(self: Any) -> list[dict[str, str]]:
    """A resource's tags, looked up by its id (moto searches the tags of all resources)."""
    held = self.ec2_backend.tags.get(self.id, {}) if self.id else {}
    kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(self.id), "") if held else ""
    return [{"resource_id": self.id, "key": key, "value": value, "resource_type": kind} for key, value in held.items()]


def filters_by_class() -> property:
    """A property in place of the dictionary of methods that moto stores in each object, which would make copies of an account slow."""
    names: dict[str, str] = {}

    def look(self: Any) -> dict[str, Any]:
        return {key: getattr(self, name) for key, name in names.items()}

    def put(_: Any, methods: dict[str, Any]) -> None:
        if not names:
            names.update({key: method.__name__ for key, method in methods.items()})

    return property(look, put)


_track = BaseModel.__new__


def track(cls: Any, *args: Any, **options: Any) -> Any:
    """Make an object without registering it: moto keeps every object of every class, copies included, for a page that the sandbox doesn't
    have. Only EC2 and ELBv2 are exempt, since S3 needs the registry to clean up."""
    if cls.__module__.startswith(("moto.ec2.", "moto.elbv2.")):
        return super(BaseModel, cls).__new__(cls)
    return _track(cls, *args, **options)


_FILTERS = [(kind, "filters", filters_by_class()) for kind in (SecurityGroup, SecurityGroupRule)]


def patches() -> list[tuple[Any, str, Any]]:
    return [
        (SecurityGroupRule, "__eq__", same_rule),
        (SecurityGroupRule, "description", property(rule_description)),
        (BaseModel, "__new__", track),
        *_FILTERS,
        (Route, "state", property(route_state)),
        (TaggedEC2Resource, "get_tags", own_tags),
        (utils, "is_filter_matching", filter_matches),
        (utils, "tag_filter_matches", tag_matches),
        (security_groups, "tag_filter_matches", tag_matches),
        (utils, "filter_dict_attribute_mapping", INSTANCE_FILTERS),
        (VPCEndPoint, "get_filter_value", endpoint_filter),
        (Subnet, "ipv6_cidr_block_association_set", property(shown_ranges)),
        (FakeLoadBalancer, "activate", activate),
        (ELBv2Backend, "_validate_actions", _validate_actions),
        (errors, "COMMON_ERROR_CODES", COMMON_ERRORS),  # codes that no service's model has
    ]
