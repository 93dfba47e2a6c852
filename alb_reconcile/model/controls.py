"""The controls of AWS Security Hub that a spec decides ("Security Hub controls for Elastic Load Balancing", "… for Amazon EC2")."""

from typing import Final, Literal, NamedTuple

Severity = Literal["critical", "high", "medium", "low"]
SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "high", "medium", "low")
_PAGES: Final = "https://docs.aws.amazon.com/securityhub/latest/userguide"


class Control(NamedTuple):
    """A control: its id, its title in short, its severity, and checkov's checks that mean the same."""

    id: str
    title: str
    severity: Severity
    checkov: tuple[str, ...] = ()

    @property
    def page(self) -> str:
        """The address of AWS's page about the control."""
        service = self.id.partition(".")[0].lower()
        return f"{_PAGES}/{service}-controls.html#{self.id.lower().replace('.', '-')}"


CONTROLS: Final = {
    item.id: item
    for item in (
        Control("ELB.1", "Application load balancers redirect HTTP to HTTPS", "medium", ("CKV2_AWS_20",)),
        Control("ELB.4", "Application load balancers drop invalid HTTP headers", "medium", ("CKV_AWS_131",)),
        Control("ELB.5", "Load balancers write access logs", "medium", ("CKV_AWS_91",)),
        Control("ELB.6", "Load balancers have deletion protection", "medium", ("CKV_AWS_150",)),
        Control("ELB.12", "Desync mitigation is defensive or strictest", "medium", ("CKV_AWS_328",)),
        Control("ELB.16", "Load balancers have a web ACL", "medium", ("CKV2_AWS_28",)),
        Control("ELB.17", "Listeners have a recommended security policy", "medium", ("CKV_AWS_103",)),
        Control("ELB.18", "Listeners are HTTPS", "medium", ("CKV_AWS_2",)),
        Control("ELB.21", "Health checks are HTTPS", "medium"),
        Control("ELB.22", "Target groups are HTTPS", "medium", ("CKV_AWS_378",)),
        Control("EC2.3", "Volumes are encrypted", "medium", ("CKV_AWS_8",)),
        Control("EC2.8", "Instances require IMDSv2", "high", ("CKV_AWS_79",)),
        Control("EC2.9", "Instances have no public IPv4 address", "high", ("CKV_AWS_88",)),
        Control("EC2.13", "Port 22 isn't open to the whole internet", "high", ("CKV_AWS_24",)),
        Control("EC2.14", "Port 3389 isn't open to the whole internet", "high", ("CKV_AWS_25",)),
        Control("EC2.15", "Subnets assign no public addresses", "medium", ("CKV_AWS_130",)),
        Control("EC2.18", "Only ports 80 and 443 are open to the whole internet", "high"),
        Control("EC2.19", "Ports with high risk aren't open to the whole internet", "critical"),
        Control("EC2.53", "Ports of remote administration aren't open to the whole internet (IPv4)", "high"),
        Control("EC2.54", "Ports of remote administration aren't open to the whole internet (IPv6)", "high"),
        Control("EC2.180", "Instances check source and destination", "medium"),
    )
}
