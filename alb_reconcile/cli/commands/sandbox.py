"""The commands `sandbox start|stop|status|prepare|put|reset`, which control the local AWS."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alb_reconcile.api.session import check_sandbox_region
from alb_reconcile.cli.render.console import emit
from alb_reconcile.cli.render.status import traffic_text
from alb_reconcile.cli.session.specs import LoadingOptions, load_stacks
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.advice import typed
from alb_reconcile.model.errors import ExitCode, UsageError
from alb_reconcile.model.files import read_start
from alb_reconcile.sandbox import client as sandbox_client
from alb_reconcile.sandbox import preparation
from alb_reconcile.sandbox.identity.places import local_issuer

_LONGEST_KEY: Final = 1024
"""The most bytes of an object's key (Amazon S3 User Guide, 'Naming Amazon S3 objects')."""
_WITHOUT = "It was started without traffic: its load balancers carry no requests, and health follows the clock."


@dataclass(frozen=True)
class StartOptions:
    port: int | None
    speed: float | None
    lag: float | None
    serve: str | None
    serve_ports: str | None
    no_traffic: bool


def start(options: StartOptions) -> ExitCode:
    """Start the sandbox, unless it runs."""
    for name, value in (("--serve", options.serve), ("--serve-ports", options.serve_ports)):
        if value and options.no_traffic:
            raise UsageError(f"{name} needs traffic: leave --no-traffic out")
    found, fresh = sandbox_client.start(
        options.port,
        options.speed,
        lag=options.lag,
        traffic=False if options.no_traffic else None,
        serve=options.serve or "",
        serve_ports=options.serve_ports or "",
    )
    emit(f"The sandbox {'has started' if fresh else 'is already running'}: {_where(found)}")
    if found.traffic:
        program = found.serve or "the demo's web API"
        emit(
            f"Instances run their group's application. Any other user data isn't run: such an instance runs {program}."
        )
        emit(f"Users of rules that authenticate log in at {found.provider}, whatever provider the spec names.")
    emit("")
    emit("Use it with --sandbox on any command, e.g.: alb-reconcile plan --sandbox SPEC")
    return ExitCode.OK


def stop() -> ExitCode:
    """Stop the sandbox."""
    found = sandbox_client.stop()
    emit("The sandbox has stopped, and everything in it is gone." if found else "No sandbox was running.")
    return ExitCode.OK


def status() -> ExitCode:
    """Say whether the sandbox runs, and how other tools reach it. Exits with 1 if it doesn't run."""
    found = sandbox_client.running()
    if found is None:
        emit("No sandbox is running; start one: alb-reconcile sandbox start")
        return ExitCode.FAILED
    emit(f"The sandbox is running: {_where(found)}")
    emit(f"  process {found.pid}, since {found.started}, state file {sandbox_client.state_file()}")
    emit("")
    emit("For the AWS CLI, boto3 and other tools:")
    for line in (
        f"AWS_ENDPOINT_URL={found.endpoint_url}",
        "AWS_ACCESS_KEY_ID=sandbox",
        "AWS_SECRET_ACCESS_KEY=sandbox",
        f"AWS_DEFAULT_REGION={sandbox_client.REGION}",
    ):
        emit(f"  export {line}")
    emit("The sandbox has every region: set AWS_DEFAULT_REGION to the stack's, or give --region.")
    emit("")
    emit(traffic_text(found.look()) if found.traffic else _WITHOUT)
    if found.ca_file:
        emit(f"HTTPS: {typed('curl', ('--cacert', found.ca_file))} --resolve NAME:PORT:127.0.0.1 https://NAME:PORT/")
    if found.provider:
        emit(f"Users of rules that authenticate log in at {found.provider}.")
    if found.names:
        emit(
            f"Names of its hosted zones resolve at 127.0.0.1 port {found.names}, as in: dig @127.0.0.1 -p {found.names} NAME"
        )
    return ExitCode.OK


@dataclass(frozen=True)
class PrepareOptions:
    spec: str
    variables: Mapping[str, str]
    region: str | None


def prepare(options: PrepareOptions) -> ExitCode:
    """Make the resources that a spec names and doesn't declare. Raises SpecError, SandboxError."""
    loading = LoadingOptions(options.variables, options.region, profile=None, sandbox=True)
    target = load_stacks([options.spec], loading)[0].target()
    check_sandbox_region(target.region)
    found, _ = sandbox_client.start()
    made = preparation.prepare(found, target.region, [item.creation for item in target.desired.values()])
    emit("Made in the sandbox:" if made else f"The sandbox has all that {options.spec} names and doesn't declare.")
    for line in made:
        emit(f"  {line}")
    asked = (action_of(item.state).authentication for item in target.desired.values())
    issuers = sorted({item.issuer for item in asked if item is not None})
    if issuers and found.provider:
        emit("")
        emit("Users log in, and tokens come from, the sandbox's own provider:")
        for issuer in issuers:
            emit(f"  {local_issuer(found.provider, issuer)} for {issuer}")
    return ExitCode.OK


_PLACE: Final = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f/])"
)


@dataclass(frozen=True)
class PutOptions:
    file: str
    place: str
    region: str | None


def put(options: PutOptions) -> ExitCode:
    """Upload a file to the sandbox's S3. Raises UsageError, SandboxError."""
    place, region = _PLACE.fullmatch(options.place), options.region or sandbox_client.REGION
    if place is None or len(place["key"].encode()) > _LONGEST_KEY:
        raise UsageError(f"{options.place!r} names no object in a bucket; write it as in s3://my-artifacts/web.tar.gz")
    _check_file(options.file)
    check_sandbox_region(region)
    found, _ = sandbox_client.start()
    version = found.put(Path(options.file), place["bucket"], place["key"], region)
    emit(f"{options.place} is in the sandbox, {f'version {version}' if version else 'in a bucket without versions'}")
    return ExitCode.OK


def _check_file(name: str) -> None:
    """Raises UsageError for a file that can't be read."""
    file = Path(name)
    try:
        read_start(file, 0)
    except IsADirectoryError:
        folder = file.resolve()
        archive = f"{'../' * (folder == Path.cwd())}{folder.name}.tar.gz"
        raise UsageError(f"{name} is a folder; pack it: {typed('tar', ('-czf', archive, '-C', name, '.'))}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{name} can't be read: {why}; name the file to upload") from None


def reset() -> ExitCode:
    """Delete the sandbox's contents."""
    found = sandbox_client.reset()
    emit("The sandbox is empty." if found else "No sandbox is running; there is nothing to empty.")
    return ExitCode.OK


def _where(found: sandbox_client.Sandbox) -> str:
    carries = "" if found.traffic else ", without traffic"
    return f"{found.endpoint_url}, {found.speed:g} times as fast as AWS{carries}"
