"""Writes the user data that installs an application as a systemd unit, as cloud-config that a person can read.

A generation never changes: the same entry gives the same bytes in all versions of this program, else a newer version would replace machines.
Amazon Linux 2023 and Ubuntu LTS have what it needs: cloud-init, systemd, Python 3.9 or newer, curl.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

NEWEST: Final = 1
"""The newest generation."""
SETTINGS: Final = "/etc/alb-reconcile/application.json"
PROGRAM: Final = "/usr/local/lib/alb-reconcile/application"
"""Where an instance has its settings, and the program of its generation."""
ARTIFACT: Final = "artifact"
"""The name of the artifact among the things that have versions; the others are secrets, by their names in the environment."""
ETAG: Final = "etag:"
"""The beginning of the version of an artifact in a bucket without versions."""
_UNIT: Final = "/etc/systemd/system/application.service"
_AGENT: Final = "/etc/alb-reconcile/logs.json"


@dataclass(frozen=True, kw_only=True)
class Application:
    """What user data is made of, but for versions."""

    generation: int = NEWEST
    bucket: str
    key: str
    prefix: str
    """The keys that the role may read: the artifact's key, or its beginning and a star."""
    command: str
    port: int
    region: str
    domain: str
    """The domain of AWS's endpoints in the region's partition, as in amazonaws.com."""
    user: str = "app"
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    """By the variable's name, `ssm:NAME`, `secretsmanager:NAME` or `secretsmanager:NAME#KEY`."""
    takes_new_secrets: bool = False
    """Whether an unattended run replaces instances for a new version of a secret."""
    packages: Sequence[str] = ()
    setup: Sequence[str] = ()
    log_group: str = ""
    stop_timeout: int = 30

    @property
    def places(self) -> dict[str, str]:
        """Where what has a version is, by name."""
        return {ARTIFACT: f"s3://{self.bucket}/{self.key}", **self.secrets}

    def user_data(self, versions: Mapping[str, str]) -> bytes:
        """The user data, for these versions by name; a secret's version is only noted, since each start reads the present one."""
        return "".join(f"{line}\n" for line in _lines(self, versions)).encode()


def _lines(app: Application, versions: Mapping[str, str]) -> Iterator[str]:
    yield "#cloud-config"
    yield f"# Runs s3://{app.bucket}/{app.key} as a service: systemctl status application, journalctl -u application."
    yield f"# alb-reconcile wrote this from `application` of the spec (generation {app.generation})."
    for name in sorted(app.secrets):
        yield f"# Secret {name}: version {versions.get(name) or 'unknown'} when this was written."
    if app.packages:
        yield "package_update: true"
        yield f"packages: {json.dumps(list(app.packages))}"
    yield "users:"
    yield "- default"
    yield f"- {json.dumps({'name': app.user, 'system': True, 'homedir': '/opt/application', 'shell': '/usr/sbin/nologin'})}"
    yield "write_files:"
    yield from _file(SETTINGS, json.dumps(_settings(app, versions), indent=1, sort_keys=True), "0644")
    yield from _file(_UNIT, _unit(app), "0644")
    if app.log_group:
        yield from _file(_AGENT, json.dumps(_agent(app.log_group), indent=1), "0644")
    yield from _file(PROGRAM, _program(app.generation), "0755")
    yield "runcmd:"
    yield "- set -e"
    yield f"- install -d -o {app.user} -g {app.user} /opt/application"
    yield f"- runuser -u {app.user} -- {PROGRAM} install"
    yield "- systemctl daemon-reload"
    yield "- systemctl enable --now application"
    if app.log_group:
        yield "- |"
        yield from (f"  {line}" for line in _install_agent(app).splitlines())


def _file(path: str, content: str, permissions: str) -> Iterator[str]:
    yield f"- path: {path}"
    yield f"  permissions: '{permissions}'"
    yield "  content: |"
    yield from (f"    {line}".rstrip() for line in content.splitlines())


def _settings(app: Application, versions: Mapping[str, str]) -> dict[str, Any]:
    version = versions.get(ARTIFACT, "")
    pinned = {"etag": version.removeprefix(ETAG)} if version.startswith(ETAG) else {"version": version}
    return {
        "artifact": {"bucket": app.bucket, "key": app.key, **(pinned if version else {})},
        "command": app.command,
        "domain": app.domain,
        "environment": dict(app.environment),
        **({"log_group": app.log_group} if app.log_group else {}),
        "port": app.port,
        "region": app.region,
        "secrets": dict(app.secrets),
        "setup": list(app.setup),
    }


def _unit(app: Application) -> str:
    """The unit: it restarts, has no rights but to bind low ports, and logs to the journal, as systemd does by default. The end of the journal
    of a crash goes to the console, too, which AWS shows from outside."""
    return f"""[Unit]
Description=The application of s3://{app.bucket}/{app.key.replace("%", "%%")}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
User={app.user}
ExecStart={PROGRAM} start
Restart=always
RestartSec=3
TimeoutStopSec={app.stop_timeout}
ExecStopPost=+/bin/sh -c '[ "$$SERVICE_RESULT" = success ] || journalctl -u application -n 20 -o cat --no-pager > /dev/console'
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full

[Install]
WantedBy=multi-user.target
"""


def _agent(group: str) -> dict[str, Any]:
    """The CloudWatch agent's settings (amazon-cloudwatch-agent, pull request 2121: `journald`)."""
    stream = {
        "units": ["application.service"],
        "log_group_name": group,
        "log_stream_name": "{instance_id}",
    }
    return {"logs": {"logs_collected": {"journald": {"collect_list": [stream]}}}}


def _install_agent(app: Application) -> str:
    """A shell script that installs the CloudWatch agent from AWS's bucket in the region, since Ubuntu's repositories don't have it."""
    base = f"https://amazoncloudwatch-agent-{app.region}.s3.{app.region}.{app.domain}"
    return f"""arch=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
if command -v dpkg; then
  curl -fsS --retry 5 -o /run/agent.deb {base}/ubuntu/$arch/latest/amazon-cloudwatch-agent.deb
  dpkg -i /run/agent.deb
else
  curl -fsS --retry 5 -o /run/agent.rpm {base}/amazon_linux/$arch/latest/amazon-cloudwatch-agent.rpm
  rpm -U --replacepkgs /run/agent.rpm
fi
/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c file:{_AGENT}
"""


@cache
def _program(generation: int) -> str:
    return files(__package__).joinpath(f"program_{generation}.py").read_text("utf-8")
