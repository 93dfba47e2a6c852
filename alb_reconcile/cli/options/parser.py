"""Builds the parser of the whole command line: each command with its options, and as `run` the function in commands/ that it calls."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from alb_reconcile.cli.options.exporting import add_exporting
from alb_reconcile.cli.options.fleet import add_fleet
from alb_reconcile.cli.options.forgiving import Parser
from alb_reconcile.cli.options.groups import (
    add_allow,
    add_issue,
    add_lock,
    add_named,
    add_policy,
    add_record,
    add_verify,
)
from alb_reconcile.cli.options.values import (
    Assignment,
    ValuesFile,
    Variables,
    decimal,
    duration,
    given,
    number,
    ports,
    role,
    stack_name,
)
from alb_reconcile.cli.options.version import Version

_EPILOG = """\
exit codes:
  0 success   1 failed, in part or whole   2 changes pending, something missing or not ready, manual action required,
  a file to be laid out (fmt --check), or findings of --security
  3 invalid spec   4 refused   5 held by another run   64 usage   130 interrupted
"""


def _common(*, region: str = "the region of a spec that names none") -> Parser:
    common = Parser(add_help=False)
    group = common.add_argument_group("common options")
    group.add_argument("--profile", help="the AWS profile; else AWS_PROFILE")
    if region:
        group.add_argument("--region", help=region)
    group.add_argument("--endpoint-url", help="the endpoint of AWS's API; else AWS_ENDPOINT_URL")
    group.add_argument(
        "--sandbox", action="store_true", help="use the local AWS, and start it if none runs; no account needed"
    )
    _add_variables(group)
    group.add_argument(
        "--max-workers", type=number(1, 64), default=16, metavar="N", help="how many calls run at once (default 16)"
    )
    group.add_argument(
        "--pace", type=decimal(0.1, 1), metavar="0.5",
        help="the share of AWS's request limits to take at most, 0.1 to 1; else ALB_RECONCILE_PACE (default 1; sync leaves two fifths of each bucket)",
    )  # fmt: skip
    _add_output(group, "more output; -vv shows each API call")
    return common


def _offline() -> Parser:
    """The options of a command that reads specs and doesn't ask AWS."""
    offline = Parser(add_help=False)
    group = offline.add_argument_group("common options")
    group.add_argument("--region", help="the region of a spec that names none")
    _add_variables(group)
    _add_output(group, "more output")
    return offline


def _add_output(group: Any, verbose: str) -> None:
    group.add_argument("-v", "--verbose", action="count", default=0, help=verbose)
    group.add_argument("--no-color", action="store_true", help="no colours; NO_COLOR does the same")


def _add_variables(group: Any) -> None:
    group.add_argument(
        "--set", dest="variables", action=Assignment, default=Variables(), metavar="NAME=VALUE",
        help="a variable of the spec; it outranks the environment",
    )  # fmt: skip
    group.add_argument(
        "--values", dest="variables", action=ValuesFile, default=Variables(), metavar="FILE",
        help="a file of variables (YAML), as for an environment; a later file outranks an earlier one, and --set all",
    )  # fmt: skip


def _add_commands(parser: argparse.ArgumentParser, metavar: str) -> Any:
    commands = parser.add_subparsers(metavar=metavar, required=True)
    commands.type = str  # the command's own parser judges the words that follow
    return commands


def _add(
    commands: Any, name: str, run: str, text: str, *, parents: Sequence[argparse.ArgumentParser] = ()
) -> argparse.ArgumentParser:
    """Add a command, the function that it runs (none where it has actions) and its help text."""
    description = f"{text[:1].upper()}{text[1:]}."
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=description, parents=parents)
    if run:
        command.set_defaults(run=run)
    return command


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="alb-reconcile",
        description="An HTTP service behind an AWS Application Load Balancer, from one YAML file.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=Version, help="show the version and its commit, and exit")
    commands = _add_commands(parser, "COMMAND")
    common = _common()
    add = partial(_add, commands, parents=[common])
    bare = partial(_add, commands)

    command = _add(commands, "validate", "authoring.validate", "check specs without calling AWS", parents=[_offline()])
    _add_specs(command)
    text = "also report what AWS Security Hub would find; exit with 2 if there is something that isn't accepted"
    command.add_argument("--security", action="store_true", help=text)
    _add_format(command)
    command = bare(
        "schema", "authoring.print_schema", "print the JSON Schema of specs, for editors, or of a command's JSON"
    )
    command.add_argument("name", nargs="?", metavar="COMMAND", help="a command that takes --format json, or error")
    command = bare("init", "starting.init", "write a commented spec to start from")
    command.add_argument(
        "file", nargs="?", default="stack.yaml", metavar="FILE", help="default stack.yaml; - is standard output"
    )
    command.add_argument("--stack", type=stack_name, metavar="NAME", help="the stack's name (default: the folder's)")
    command.add_argument(
        "--template", type=given, metavar="NAME", help="a spec that comes with this program; --template list lists them"
    )
    text = "a spec that runs your own application, with a small one in Flask; the same as --template application"
    command.add_argument("--application", action="store_true", help=text)
    text = "print the smallest IAM policy with which a command runs over specs or a fleet"
    command = _add(commands, "iam-policy", "iam_policy.iam_policy", text, parents=[_offline()])
    text = "a spec, a folder of specs, or a fleet's file (default stack.yaml)"
    command.add_argument("specs", nargs="*", metavar="SPEC|FLEET", help=text)
    choices = ("plan", "apply", "deploy", "rollback", "sync", "destroy", "instances")
    command.add_argument(
        "--for", dest="command", required=True, choices=choices,
        type=lambda text: "plan" if text in ("status", "verify") else given(text),
        help="the command that is to be allowed; status and verify are allowed what plan is; deploy: an apply of another version; instances: what they need by a role of yours",
    )  # fmt: skip
    text = "the name of a role that an existing instance profile has (default: the profile's name); repeatable"
    command.add_argument("--pass-role", dest="roles", action="append", type=role, default=[], metavar="ROLE", help=text)
    command.add_argument("--issue", action="store_true", help="of sync --issue: it may ask CloudTrail who changed what")
    command.add_argument("--queue", metavar="URL", help="of a fleet's workers: the URL of their queue of Amazon SQS")
    command = bare("explain", "authoring.explain", "explain a kind or one of its keys")
    command.add_argument(
        "topic", nargs="?", metavar="KIND[.KEY]", help="such as target_group.health_check (default: all kinds)"
    )

    _add_helpers(bare)

    command = add("plan", "plan.plan", "show what apply would do; changes nothing")
    _add_specs(command)
    command.add_argument("--destroy", action="store_true", help="plan the deletion of the stack")
    command.add_argument(
        "--format",
        choices=("text", "json", "markdown", "html"),
        default="text",
        help="text to read, JSON for programs, Markdown for pull requests, or a page",
    )
    command.add_argument("--out", metavar="FILE", help="save the plan for apply --plan, or destroy --plan")
    command.add_argument("--detailed-exitcode", action="store_true", help="exit with 2 if there are changes")
    add_allow(command)
    add_policy(command)

    command = add("apply", "reconcile.apply", "make the stack match its spec")
    command.description = (
        "Make each stack match its spec, one after the other, until one fails; sync goes on with the others."
    )
    _add_specs(command)
    command.add_argument("-y", "--yes", action="store_true", help="don't ask")
    _add_format(command)
    command.add_argument("--plan", metavar="FILE", help="refuse unless the plan is still the one in FILE")
    command.add_argument(
        "--timeout",
        type=duration(),
        default=900,
        metavar="15m",
        help="how long to wait for healthy targets at the end; a roll waits by its rollout.health_timeout",
    )
    group = command.add_mutually_exclusive_group()
    group.add_argument("--verify", action="store_true", help="then send real requests, as verify does")
    group.add_argument("--no-wait", action="store_true", help="end when all is made, and say what isn't ready yet")
    add_lock(command)
    add_record(command)
    add_allow(command)
    add_policy(command)

    command = add("rollback", "rollback.rollback", "move requests back to the version that stands by")
    command.description = (
        "Move requests back to the version that stands by after a deployment (rollout.keep), whatever the spec says now: one call for each "
        "listener and rule."
    )
    command.add_argument("spec", metavar="SPEC", help="a spec")
    command.add_argument("-y", "--yes", action="store_true", help="don't ask")
    add_lock(command)
    add_record(command)

    command = add("abort", "rollback.abort", "keep a deployment that goes on from moving requests")
    command.description = (
        "Keep a deployment of another process from moving requests to its version (blue_green). It waits for no lock: the run looks right "
        "before it moves requests."
    )
    command.add_argument("spec", metavar="SPEC", help="a spec")

    command = add("destroy", "reconcile.destroy", "delete a whole stack and nothing else")
    command.add_argument("specs", nargs="*", metavar="SPEC", help="a spec by its name; no folder, and no pattern")
    add_named(command)
    command.add_argument("-y", "--yes", action="store_true", help="don't ask for the stack's name")
    _add_format(command)
    command.add_argument("--plan", metavar="FILE", help="refuse unless the plan is still the one in FILE")
    add_lock(command)
    add_record(command)
    add_allow(command)
    add_policy(command)

    _add_sync(add)

    command = add("status", "status.status", "show each resource, the health of the targets and the URLs")
    _add_specs(command)
    command.add_argument("--stack", type=stack_name, metavar="NAME", help="a stack whose spec is lost; needs --region")
    text = "exit with 2 if something is missing, not ready, or not as the spec says"
    command.add_argument("--detailed-exitcode", action="store_true", help=text)
    _add_format(command)

    command = add(
        "graph", "graph.graph", "draw the stack as a Mermaid flowchart, coloured by the plan; changes nothing"
    )
    command.add_argument("spec", nargs="?", metavar="SPEC", help="a spec (default stack.yaml)")
    command.add_argument("--destroy", action="store_true", help="draw what the deletion of the stack takes")

    command = add(
        "report", "report.report", "all stacks of a folder on one page: health, drift, shares of requests, last runs"
    )
    command.add_argument("place", nargs="?", default=".", metavar="DIRECTORY", help="default: this one")
    command.add_argument("--format", choices=("html",), default="html", help="default html")
    command.add_argument("--state-dir", metavar="DIR", help="where runs are recorded; else ALB_RECONCILE_STATE_DIR")

    command = add("verify", "verify.verify", "send real requests through each listener and rule")
    add_verify(command)

    command = add("history", "history.show", "show a stack's runs: when, what, who, what failed")
    command.add_argument("spec", nargs="?", metavar="SPEC", help="a spec (default stack.yaml)")
    command.add_argument("--stack", metavar="NAME", help="a stack whose spec is lost or broken")
    _add_format(command)
    command.add_argument("--limit", type=number(1, 100_000), default=20, metavar="N", help="the newest N (default 20)")
    command.add_argument("--state-dir", metavar="DIR", help="where runs are recorded; else ALB_RECONCILE_STATE_DIR")

    _add_adoption(add)
    read = partial(_add, commands, parents=[_common(region="the region to read; else AWS_REGION, or the profile's")])
    add_exporting(read, partial(_add, commands, parents=[_offline()]))
    _add_format(read("stacks", "status.stacks", "list the stacks that have resources in a region"))
    _add_locks(commands, common)
    fleet = _add(commands, "fleet", "", "many accounts and regions from one file: look, correct drift, apply in waves")
    add_fleet(_add_commands(fleet, "ACTION"), _add, partial(_common, region=""))
    _add_sandbox(commands)
    return parser


def _add_format(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--format", choices=("text", "json"), default="text", help="text to read, or JSON for programs"
    )


def _add_specs(command: argparse.ArgumentParser) -> None:
    command.add_argument("specs", nargs="*", metavar="SPEC", help="a spec, or a folder of specs (default stack.yaml)")


def _add_helpers(bare: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    command = bare("help", "manual.show_help", "show what a command does, with its options")
    command.add_argument("words", nargs="*", metavar="COMMAND", help="such as plan, or lock show")
    command = bare("completion", "manual.completion", "print what completes commands and options in a shell")
    command.add_argument("shell", choices=("bash", "zsh", "fish"), metavar="bash|zsh|fish", help="the shell")


def _add_locks(commands: Any, common: argparse.ArgumentParser) -> None:
    text = "show who holds a stack, by the lock on this host and the lease; break the lease"
    actions = _add_commands(_add(commands, "lock", "", text), "ACTION")
    text = "show who holds lock and lease, since when and for how long, or held them last"
    show = _add(actions, "show", "lock.show", text, parents=[common])
    show.add_argument("specs", nargs="*", metavar="SPEC", help="a spec (default stack.yaml)")
    _add_format(show)
    text = "take the lease away from a run that is dead, or has to stop"
    broken = _add(actions, "break", "lock.break_", text, parents=[common])
    broken.add_argument("spec", nargs="?", metavar="SPEC", help="a spec (default stack.yaml)")
    broken.add_argument("-y", "--yes", action="store_true", help="don't ask")
    for action in (show, broken):
        add_named(action)


def _add_sandbox(commands: Any) -> None:
    sandbox = _add(commands, "sandbox", "", "a local AWS for trying things out, without an account")
    actions = _add_commands(sandbox, "ACTION")
    start = _add(actions, "start", "sandbox.start", "start it; what is created in it stays until stop")
    start.add_argument("--port", type=number(1, 65535), metavar="N", help="listen there; default a free one")
    start.add_argument(
        "--speed", type=decimal(1, 1000), metavar="N", help="how much faster than AWS time runs (default 10)"
    )
    start.add_argument(
        "--lag",
        type=decimal(0, 60),
        metavar="SECONDS",
        help="how late a change may reach the load balancers, in AWS time (default 10)",
    )
    start.add_argument(
        "--serve", metavar="COMMAND",
        help="what each instance runs instead of the demo's web API, without a shell; it has to listen on "
        "BIND:PORT, and finds INSTANCE_ID, AVAILABILITY_ZONE and VERSION in its environment too",
    )  # fmt: skip
    start.add_argument(
        "--serve-ports",
        type=ports,
        metavar="PORTS",
        help="the ports, such as 80,8080, of instances whose user data doesn't contain PORT=N (default 80)",
    )
    start.add_argument(
        "--no-traffic",
        action="store_true",
        help="serve AWS's API only: load balancers carry no requests, no instances run, health follows the clock",
    )
    _add(actions, "stop", "sandbox.stop", "stop it, and discard everything in it")
    _add(actions, "status", "sandbox.status", "show whether it is running, and how other tools reach it")
    text = "make in it what a spec names and doesn't declare: others' network, certificate, key pair, instance profile"
    prepare = _add(actions, "prepare", "sandbox.prepare", text)
    prepare.add_argument("spec", metavar="SPEC", help="a spec")
    prepare.add_argument("--region", help="the region of a spec that names none")
    _add_variables(prepare)
    put = _add(actions, "put", "sandbox.put", "upload a file to its S3, such as the artifact of an application")
    put.add_argument("file", metavar="FILE", help="the file")
    put.add_argument("place", metavar="s3://BUCKET/KEY", help="where; a missing bucket is made, with versions")
    put.add_argument("--region", help="the region of a bucket that is made (default us-east-1)")
    _add(actions, "reset", "sandbox.reset", "empty it")


def _add_sync(add: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    command = add(
        "sync", "sync.sync", "correct drift of one stack or many, unattended; report what requires manual action"
    )
    command.add_argument(
        "places", nargs="+", metavar="SPEC|DIRECTORY|GLOB", help="specs, folders of specs, quoted patterns"
    )
    command.add_argument("--apply-changes", action="store_true", help="apply changed specs too, as far as sync: allows")
    text = "keep running, a round every 5 minutes; SIGHUP starts one now"
    command.add_argument("--every", type=duration("10s"), metavar="5m", help=text)
    command.add_argument(
        "--parallel", type=number(1, 64), default=8, metavar="N", help="how many stacks are changed at once (default 8)"
    )
    _add_format(command)
    command.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="leave out stacks that are in sync and healthy, or held by another run, for cron",
    )
    text = "how long to wait for a corrected stack's targets to be healthy"
    command.add_argument("--timeout", type=duration(), default=900, metavar="15m", help=text)
    add_issue(command)
    add_policy(command)
    add_lock(command)
    add_record(command)


def _add_adoption(add: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    command = add("adopt", "adoption.adopt", "bring existing resources under management; changes tags only")
    command.add_argument("spec", metavar="SPEC", help="a spec")
    command.add_argument(
        "choices",
        nargs="*",
        metavar="ADDRESS=ID",
        help="the id of an entry's resource; ADDRESS=new leaves the entry to apply",
    )
    command.add_argument(
        "--keep-images",
        action="store_true",
        help="treat instances as launched from their image reference, whatever it resolves to now",
    )
    text = "treat the client secrets that AWS has as those that the spec names"
    command.add_argument("--keep-secrets", action="store_true", help=text)
    text = "write what runs into the spec, where it says otherwise, rather than have apply change it"
    command.add_argument("--write", action="store_true", help=text)
    forget = add("forget", "adoption.forget", "stop managing resources, or the whole stack; changes tags only")
    forget.add_argument("spec", metavar="SPEC", help="a spec")
    forget.add_argument("addresses", nargs="*", metavar="ADDRESS", help="default: the whole stack")
    move = add("move", "adoption.move", "follow a renamed entry; changes tags only")
    move.add_argument("spec", metavar="SPEC", help="a spec")
    move.add_argument(
        "addresses",
        nargs="+",
        metavar="OLD NEW",
        help="such as target_group.web target_group.api; as many pairs as needed",
    )
    for item in (command, forget, move):
        item.add_argument("-y", "--yes", action="store_true", help="don't ask")
        _add_format(item)
        add_lock(item)
