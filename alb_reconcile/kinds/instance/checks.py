"""Checks instance groups of a spec: their subnets, images, addresses and volumes, and their routes to the internet.

Default routes of the groups' subnets are checked here: a subnet works without a default route until something in it needs the internet.
"""

from ipaddress import IPv4Address
from math import ceil
from typing import Final

from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.instance.application.checks import check_application
from alb_reconcile.kinds.instance.application.checks import check_use as check_applications
from alb_reconcile.kinds.instance.user_data import given_content, values_of, why_unfit, with_values
from alb_reconcile.kinds.internet_gateway import lacks_internet_gateway
from alb_reconcile.kinds.networks import ANYWHERE, check_one_vpc, network_of, vpc_of
from alb_reconcile.kinds.route_table.defaults import default_route, is_known, tables_of_subnets
from alb_reconcile.model.address import MAX_USER_DATA
from alb_reconcile.model.files import file_mistake
from alb_reconcile.model.nodes import Path, shorten
from alb_reconcile.model.resource import BLUE_GREEN, Rollout
from alb_reconcile.model.secrets import is_secret_name

_BURSTING: Final = ("t2.", "t3.", "t3a.", "t4g.")
_TOO_LARGE: Final = f"AWS takes at most {MAX_USER_DATA:,}: fetch the rest at boot"
_ONE_AT_A_TIME: Final = "can't be had by an instance and its successor at once; set rollout.max_surge to 0 and max_unavailable to 1 or more, with strategy: rolling"
_PUBLIC: Final = "associate_public_ip_address"


def check_entries(around: Around) -> None:
    """Report instance groups that AWS would refuse."""
    for name, entry in around.entries("instances").items():
        _check_placement(around, name, entry)
        _check_user_data(around, name, entry)
        if "application" in entry:
            check_application(around, name, entry)
        _check_addresses(around, name, entry)
        _check_volumes(around, name, entry)
        _check_options(around, name, entry)
        _check_rollout(around, name, entry)
    _check_clashes(around)


def _check_placement(around: Around, name: str, entry: Entry) -> None:
    check_one_vpc(around, "instances", name)
    if len(entry.get("security_groups") or ()) > 16:  # the most to which AWS raises its quota of 5
        around.error(("instances", name, "security_groups"), "AWS allows 16 at most for an interface; merge some")


def _addresses(entry: Entry) -> list[tuple[Path, str]]:
    """An entry's private addresses, each with its place where they are a list."""
    given = entry.get("private_ip_address")
    if isinstance(given, str):
        return [((), given)]
    return [((index,), address) for index, address in enumerate(given or ()) if isinstance(address, str)]


def _check_addresses(around: Around, name: str, entry: Entry) -> None:
    path: Path = ("instances", name, "private_ip_address")
    given = entry.get("private_ip_address")
    if given is None:
        return
    count = entry.get("count", 1)
    if isinstance(given, str) and count != 1:
        around.error(path, f"is one address for {count} instances; write a list of {count}")
    elif isinstance(given, list) and len(given) != count:
        around.error(path, f"has {len(given)} addresses for {count} instances; give it {count}")
    network = next(
        (found for subnet in entry.get("subnets") or () if (found := network_of(around, "subnets", subnet))), None
    )
    for place, text in _addresses(entry):
        try:
            address = IPv4Address(text)
        except ValueError:
            around.error((*path, *place), f"{shorten(text)} is no IPv4 address; give it one such as 10.0.1.10")
            continue
        if network and address not in network:
            around.error((*path, *place), f"{text} isn't in the subnet's range {network}; choose one in it")
        elif network and address in (*(network[index] for index in range(4)), network[-1]):
            told = f"{text} is one of the five addresses of {network} that AWS keeps; choose another"
            around.error((*path, *place), told)
    if Rollout.of(entry).stands_beside:
        around.error(path, _ONE_AT_A_TIME, at_key=True)


def _check_clashes(around: Around) -> None:
    seen: dict[tuple[str, str], str] = {}
    for name, entry in around.entries("instances").items():
        for place, address in _addresses(entry):
            key = (str(entry.get("subnets")), address)
            if key in seen:
                path = ("instances", name, "private_ip_address", *place)
                around.error(path, f"{address} is given to instances.{seen[key]} too; keep it in one place")
            seen.setdefault(key, name)


def _check_volumes(around: Around, name: str, entry: Entry) -> None:
    path: Path = ("instances", name, "data_volumes")
    disks = {key: disk for key, disk in (entry.get("data_volumes") or {}).items() if isinstance(disk, dict)}
    seen: dict[str | None, str] = {}
    for key, disk in disks.items():
        device = disk.get("device_name")
        if (first := seen.setdefault(device, key)) != key:
            around.error((*path, key, "device_name"), f"{device} is the device of {first} too; choose another")
        if disk.get("persistent"):
            if disk.get("delete_on_termination"):
                text = "would delete a volume that is persistent; leave one of them out"
                around.error((*path, key, "delete_on_termination"), text)
            if Rollout.of(entry).stands_beside:
                around.error((*path, key, "persistent"), _ONE_AT_A_TIME, at_key=True)
    root = entry.get("root_volume") or {}
    for below, disk in ((("root_volume",), root), *((("data_volumes", key), disk) for key, disk in disks.items())):
        throughput, iops = disk.get("throughput"), disk.get("iops", 3000)
        if throughput and throughput * 4 > iops:
            text = f"{throughput} MiB/s are more than a quarter of {iops} iops; set iops to {throughput * 4} or more"
            around.error(("instances", name, *below, "throughput"), text)


def _check_options(around: Around, name: str, entry: Entry) -> None:
    kind = str(entry.get("instance_type", ""))
    if "credit_specification" in entry and kind and not kind.startswith(_BURSTING):
        text = f"{kind} has no CPU credits; take it out, or choose a type of t2, t3, t3a or t4g"
        around.error(("instances", name, "credit_specification"), text, at_key=True)


def _check_rollout(around: Around, name: str, entry: Entry) -> None:
    """A rollout of a single instance has to allow that it is missing: it can't be stopped otherwise."""
    rollout = entry.get("rollout") or {}
    if rollout.get("strategy") == BLUE_GREEN and rollout.get("max_surge") == 0:
        told = "is 0, and blue_green (the default with application) makes all new instances beside the old ones; leave it out, or write strategy: rolling"
        around.error(("instances", name, "rollout", "max_surge"), told)
    if around.is_wrong(("instances", name, "rollout")):
        return
    path = ("instances", name, "rollout", "max_unavailable")
    given, missing, count = entry.get("rollout") or {}, Rollout.of(entry).max_unavailable, entry.get("count", 1)
    if missing >= count > 0 and missing > 1:
        text = f"{missing} of {count} instances may be missing, so a change may leave none that answers; "
        text += "set it below count" if count > 1 else "set it to 1 or 0"
        around.warn(path, text)
    if entry.get("type_change") == "in-place" and "max_unavailable" in given and count and not missing:
        text = f"{given['max_unavailable']} of {count} instances, rounded down, are none, and in-place stops instances"
        around.error(path, f"{text}; give it 1 or more, or a share from {ceil(100 / count)}%")


def _check_user_data(around: Around, name: str, entry: Entry) -> None:
    file = ("instances", name, "user_data_file")
    if "user_data" in entry and "user_data_file" in entry:
        around.error(file, "user_data is given too; keep one of them", at_key=True)
    size = len(entry.get("user_data", "").encode())
    if size > MAX_USER_DATA:
        around.error(("instances", name, "user_data"), f"is {size:,} bytes; {_TOO_LARGE}")
    if "user_data_file" in entry and (
        mistake := file_mistake(around.folder, entry["user_data_file"], MAX_USER_DATA, _TOO_LARGE)
    ):
        around.error(file, mistake)
    elif "user_data_values" in entry and not around.is_wrong(("instances", name)):
        _check_values(around, name, entry)


def _check_values(around: Around, name: str, entry: Entry) -> None:
    key = "user_data_file" if "user_data_file" in entry else "user_data"
    path: Path = ("instances", name, "user_data_values")
    values = values_of(entry)
    for wanted, text in values.items():
        if is_secret_name(wanted):
            told = (
                "looks like a secret, and user data can be read; let the instance read it from Secrets Manager or SSM"
            )
            around.error((*path, wanted), told, at_key=True)
        if not text.isprintable():
            around.error((*path, wanted), "has a line break or another character that can't be printed; take it out")
    if around.is_wrong(path):
        return
    content = given_content(around, entry) or b""
    if why := why_unfit(content):
        around.error(("instances", name, key), why)
    elif (size := len(with_values(content, values))) > MAX_USER_DATA:
        around.error(path, f"with {key} these make {size:,} bytes of user data; {_TOO_LARGE}", at_key=True)


def check_use(around: Around) -> None:
    """Report Elastic IP addresses that are too few or lead nowhere, and subnets without the intended route to the internet."""
    for name, entry in around.entries("instances").items():
        if "elastic_ip" in entry:
            _check_count(around, name, entry)
            _check_gateway(around, name)
    _check_ways_out(around)
    check_applications(around)


def _check_count(around: Around, name: str, entry: Entry) -> None:
    count, given = entry.get("count", 1), entry["elastic_ip"]
    path = ("instances", name, "elastic_ip")
    if not isinstance(given, list) and count > 1:
        around.error(path, f"is one address for {count} instances; write a list of {count}")
    elif isinstance(given, list) and len(given) < count:
        around.error(path, f"has too few addresses ({len(given)}) for {count} instances; give it {count} or more")


def _check_gateway(around: Around, name: str) -> None:
    vpc = vpc_of(around, "instances", name)
    if lacks_internet_gateway(around, vpc):
        text = f"needs an internet gateway, and vpc.{vpc} has none; declare one under internet_gateways"
        around.error(("instances", name, "elastic_ip"), text, at_key=True)


def _check_ways_out(around: Around) -> None:
    """Report groups of which only some members have a route to the internet, and public addresses without such a route."""
    tables = around.kept(tables_of_subnets)
    defaults = {
        table: default_route(around, table) for table in around.entries("route_tables") if is_known(around, table)
    }
    for name, instance in around.entries("instances").items():
        ways = {
            (path, subnet): defaults[tables[subnet]]
            for path, subnet in around.texts("instances", name, "subnets", ...)
            if tables.get(subnet) in defaults and subnet in around.entries("subnets")
        }
        for (path, subnet), route in ways.items():
            given = around.entries("subnets")[subnet].get("map_public_ip_on_launch")
            own = instance.get(_PUBLIC, given)
            if not route and any(ways.values()):
                text = f"subnet.{subnet} has no default route, and other subnets of {name} have one: what runs there can't reach the internet; add a route for {ANYWHERE[0]}, such as to a NAT gateway"
                around.warn(path, text)
            if "internet_gateway" in route and own is False and "elastic_ip" not in instance:
                key = _PUBLIC if _PUBLIC in instance else "map_public_ip_on_launch"
                text = f"{name} gets no public address in subnet.{subnet}, whose internet gateway lets nothing out without one; set {key}: true, or route {ANYWHERE[0]} to a NAT gateway"
                around.warn(path, text)
            if "nat_gateway" in route and given is own is True:
                text = f"subnet.{subnet} gives {name} public addresses that no client reaches: its default route leads to a NAT gateway; set map_public_ip_on_launch: false"
                around.warn(path, text)
