"""The worst that 1 MiB can do to the loader; `python -m tests.spec.worst CASE...` measures some of it."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alb_reconcile.model.errors import SpecError
from alb_reconcile.spec.document import MAX_BYTES
from alb_reconcile.spec.stack import parse_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SHARE = 8
"""What is tried is so much smaller than it may be; 1 takes minutes."""
FOLDER = Path(__file__).parents[2] / "specs"
DEMO = (FOLDER / "demo.yaml").read_text(encoding="utf-8")
MEMORY = 2 * 1024**3  # far above what is asserted: a runaway must not take the machine with it
WEB = "image_id: ami-12345678, instance_type: t3.micro, subnets: [public-a], security_groups: [web]"
_FLOOR, _SOON = 0.1, 0.5
"""What `floor` takes on a machine of our days, and seconds above which it is measured."""
ANY_ROOT = "stack: shop\nx: "


def fill(piece: str, around: str = "%s") -> str:
    """As much of a piece as the limit on size lets through, or its share."""
    return around % (piece * ((MAX_BYTES - len(around)) // SHARE // len(piece)))


def listed(piece: str, count: int) -> str:
    """A flow sequence, of a share of so many."""
    return "[" + ",".join([piece] * (count // SHARE)) + "]"


def numbered(template: str, count: int, separator: str = "") -> str:
    """A template's # replaced by 0, 1, 2 and so on, for a share of so many."""
    return separator.join(template.replace("#", str(number)) for number in range(count // SHARE))


def demo(*changes: tuple[str, str]) -> str:
    """The demo with parts of it replaced."""
    text = DEMO
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def more(section: str, entries: str, *changes: tuple[str, str]) -> str:
    """The demo with more entries in a section."""
    return demo((f"{section}:", f"{section}:\n{entries}"), *changes)


CASES: Mapping[str, Callable[[], str]] = {
    "opening brackets": lambda: fill("["),
    "anchors": lambda: fill("&a "),
    "a long quoted key": lambda: fill("k", '? "%s"\n: 1'),
    "a long key, aliased": lambda: "x: &x\n  ? " + "k" * 800_000 + "\n  : 1\nvpcs: " + listed("*x", 80_000),
    "aliases of aliases": lambda: "a0: &a0 [1]\n" + numbered("b#: &b# [*a0, *a0]\n", 20_000),
    "a tower of aliases": lambda: "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [[[*a{n - 1}]]]\n" for n in range(1, 9000)),
    "merges of merges": lambda: "a0: &a0 {k: 1}\n"
    + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}, k{n}: 1}}\n" for n in range(1, 9000)),
    "a huge number": lambda: fill("9", "stack: %s"),
    "duplicates in a list": lambda: demo(("[public-a, public-b]\n    security_groups: [load", listed("public-a", 90_000) + "\n    security_groups: [load")),
    "duplicate keys": lambda: "stack: shop\n" + "vpcs: {}\n" * 90_000,
    "unknown keys": lambda: DEMO + numbered("k#: 1\n", 80_000),
    "variables without end": lambda: fill("${", "stack: '%s'"),
    "undefined variables": lambda: ANY_ROOT + listed("'${A}'", 99_000),
    "variables that grow": lambda: ANY_ROOT + listed("'${LONG}'", 50_000),
    "a text aliased": lambda: "stack: &a '" + "x" * 800_000 + "'\nvpcs: " + listed("*a", 80_000),
    "subnets that overlap": lambda: more("subnets", numbered("  s#: {cidr_block: 10.0.0.0/24, availability_zone: a}\n", 16_000), ("subnets:", "subnets:")),
    "instances with addresses": lambda: more("instances", numbered(f"  a#: {{elastic_ip: eipalloc-0#, {WEB}}}\n", 4_000), ("internet_gateways:\n", "internet_gateways:\n" + numbered("  g#: {}\n", 9_000))),
    "more instances than a stack": lambda: more("instances", numbered(f"  a#: {{count: 1000, {WEB}}}\n", 3_000)),
    "dangling references": lambda: more("instances", numbered(f"  a#: {{{WEB}}}\n", 7_000), ("targets: [web]", "targets: [" + numbered("t#", 9_000, ",") + "]")),
    "a long name among the known": lambda: more("instances", f'  ? "{"N" * 900_000}"\n  : {{{WEB}}}\n', ("targets: [web]", "targets: [" + numbered("t#", 9_000, ",") + "]")),
    "targets and rules": lambda: more("instances", numbered(f"  a#: {{{WEB}}}\n", 4_000), ("targets: [web]", "targets: [" + numbered("a#", 4_000, ",") + "]"), ("ingress:\n      - {protocol: tcp, port: 80, security_group: load-balancer}", "ingress:\n" + "".join(f"      - {{protocol: tcp, port: {port}, cidr_block: 1.1.1.1/32}}\n" for port in range(1, 1001)))),
    "rules": lambda: demo(("default_action: {forward: web}", "default_action: {forward: web}\n        rules:\n" + numbered("          r#: {priority: 1, conditions: [{path_pattern: /#}], action: {forward: web}}\n", 8_000))),
    "rules that are compared": lambda: demo(("default_action: {forward: web}", "default_action: {forward: web}\n        rules:\n" + numbered("          r#: {priority: 1#, conditions: [{path_pattern: [/*a*b#, /*b*a#, /*c?#]}], action: {forward: web}}\n", 4_000))),
    "redirects that are followed": lambda: demo(("default_action: {forward: web}", "default_action: {forward: web}\n        rules:\n" + numbered("          r#: {priority: 1#, conditions: [{path_pattern: [/r#, /r0#*]}], action: {redirect: {status_code: HTTP_301, path: /r2#}}}\n", 300))),
    "the largest valid stack": lambda: more("instances", numbered(f"  a#: {{count: 900, {WEB}}}\n", 11)),
}  # fmt: skip


def load(text: str) -> str:
    """What the loader makes of a text: the only two things it may."""
    assert len(text.encode()) <= MAX_BYTES, len(text)
    try:
        return f"{len(parse_stack(text.encode(), 'x', FOLDER, {'LONG': 'l' * 1000}).desired)} resources"
    except SpecError as error:
        str(error)
        return f"{len(error.problems)} problems"


def peak_mib() -> float:
    """This process's largest size (ru_maxrss would count the parent's, from before exec)."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def floor() -> float:
    """The processor time of a fixed piece of work: some machines take half as long again as others, and so does a busy one."""
    start = time.process_time()
    sum(number * number for number in range(3_000_000))
    return time.process_time() - start


def measure(name: str) -> dict[str, Any]:
    """One case's time and memory. Time is the processor's: other processes are no property of the code."""
    text = CASES[name]()
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5", encoding="utf-8")  # forget the peak of the case before
    start = time.process_time()
    result = load(text)
    seconds = time.process_time() - start
    usual = floor() if seconds > _SOON else _FLOOR
    return {"case": name, "seconds": seconds, "floors": seconds / usual, "mib": peak_mib(), "result": result}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for case in sys.argv[1:]:
        print(json.dumps(measure(case)), flush=True)
