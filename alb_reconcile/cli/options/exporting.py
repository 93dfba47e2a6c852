"""Declares the options of `export`, `fmt` and `diff`."""

import argparse
from collections.abc import Callable
from typing import Any

from alb_reconcile.cli.options.values import stack_name


class TagChoice(argparse.Action):
    """Collects `--tag KEY=VALUE`, given any number of times, in a dict."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: str | None = None
    ) -> None:
        key, equals, value = str(values).partition("=")
        if not equals or not key:
            parser.error(f"--tag expects KEY=VALUE, such as service=shop, not {str(values)[:80]!r}")
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), key: value})


def add_exporting(
    add: Callable[[str, str, str], argparse.ArgumentParser], offline: Callable[[str, str, str], argparse.ArgumentParser]
) -> None:
    """Declare the options of `export`, and of `fmt` and `diff`, which don't ask AWS."""
    command = add("export", "exporting.export_spec", "write a spec from what runs; changes nothing in AWS")
    group = command.add_argument_group("what is meant, one at least")
    group.add_argument(
        "--load-balancer", dest="load_balancers", action="append", default=[], metavar="NAME|ARN",
        help="a load balancer and what it leads to; its network is named by ids",
    )  # fmt: skip
    group.add_argument(
        "--vpc", dest="vpcs", action="append", default=[], metavar="ID", help="a VPC and all that is in it"
    )
    group.add_argument(
        "--tag", dest="tags", action=TagChoice, default={}, metavar="KEY=VALUE",
        help="all that carries this tag; given more often, all of them",
    )  # fmt: skip
    command.add_argument(
        "--stack",
        type=stack_name,
        metavar="NAME",
        help="the stack's name, default from what was found; alone, the stack of that name whose spec is lost",
    )
    command.add_argument(
        "--from-state", dest="states", action="append", default=[], metavar="FILE",
        help="names from a state file of Terraform or OpenTofu; - is standard input",
    )  # fmt: skip
    command.add_argument(
        "--from-stack", dest="stacks", action="append", default=[], metavar="NAME",
        help="names from a CloudFormation stack",
    )  # fmt: skip
    text = "write it there, and what instances were launched with beside it; default standard output, without that"
    command.add_argument("-o", "--out", metavar="FILE", help=text)

    command = offline("fmt", "authoring_tools.fmt", "lay specs out in the usual way; comments stay")
    command.add_argument("files", nargs="+", metavar="SPEC", help="- reads standard input, and writes standard output")
    command.add_argument(
        "--check", action="store_true", help="change nothing; exit with 2 if something would be changed"
    )

    command = offline(
        "diff", "authoring_tools.diff", "compare what two specs want, as a plan would; asks nothing of AWS"
    )
    command.add_argument("old", metavar="OLD", help="the spec as it was")
    command.add_argument("new", metavar="NEW", help="the spec as it is to be")
    command.add_argument(
        "--format", choices=("text", "json"), default="text", help="text to read, or JSON for programs"
    )
    command.add_argument("--detailed-exitcode", action="store_true", help="exit with 2 if they differ")
