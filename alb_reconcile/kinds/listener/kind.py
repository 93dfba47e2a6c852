"""Drives listeners (ELBv2 CreateListener, ModifyListener, DeleteListener)."""

import asyncio
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, NamedTuple, Self

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._attached import is_attached
from alb_reconcile.kinds._elb import HasAttributes, is_ours
from alb_reconcile.kinds._health import wait_for_shift
from alb_reconcile.kinds.base import Adopted, Around, Entry, IamActions, Intent, Keep, Named, Zones
from alb_reconcile.kinds.certificate.serving import check_certificates
from alb_reconcile.kinds.context import Run, all_of
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.identifiers import refer
from alb_reconcile.kinds.listener import checks, secrets
from alb_reconcile.kinds.listener.actions import actions_from_aws, call_with_actions, read_action, write_action
from alb_reconcile.kinds.listener.audit import audit
from alb_reconcile.kinds.listener.providers import check_providers
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known
from alb_reconcile.kinds.secret_versions import READ
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import keep_others, tell_unsupported
from alb_reconcile.model.actions import Action
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import RefusedError, ignoring
from alb_reconcile.model.resource import Desired, Lookups, Observed
from alb_reconcile.model.service import Frontend
from alb_reconcile.model.steps import Shift


class MutualAuthentication(NamedTuple):
    """Whether and how a listener verifies clients' certificates (mutual TLS)."""

    mode: str
    trust_store: Ref = ""
    ignore_client_certificate_expiry: bool = False
    advertise_trust_store_ca_names: str = "off"

    def __str__(self) -> str:
        if self.mode != "verify":
            return self.mode
        expired = ", expired certificates too" if self.ignore_client_certificate_expiry else ""
        names = ", with the names of its CAs" if self.advertise_trust_store_ca_names == "on" else ""
        return f"verify by {self.trust_store}{expired}{names}"


@dataclass(frozen=True, kw_only=True)
class Listener(Frontend):
    """A listener: a port of a load balancer."""

    kind = "listener"
    service = "elbv2"
    missed = 1
    holds = frozenset({"mutual_authentication"})
    ways = frozenset({"certificates"})
    replaced_on = frozenset({"load_balancer"})
    parent = "load_balancer"
    action_field = "default_action"
    moves = frozenset({"default_action", "port", "protocol", "certificate_arn", "certificates"})
    defaulted = frozenset({"ssl_policy"})

    load_balancer: Ref
    protocol: str
    port: int
    ssl_policy: str | None = None
    certificate_arn: Ref | None = None
    """The default certificate."""
    certificates: tuple[Ref, ...] | None = None
    """The further certificates, chosen by the name that a client asks for (SNI)."""
    mutual_authentication: MutualAuthentication | None = None
    attributes: Mapping[str, str] | None = None
    default_action: Action

    @property
    def wants_certificate(self) -> bool:
        mutual = self.mutual_authentication
        return mutual is not None and mutual.mode == "verify"

    def keeps_out(self) -> dict[str, str]:
        return {"mutual_authentication": "mutual authentication"} if self.wants_certificate else {}

    def with_others(self, observed: Self) -> Self:
        return replace(self, certificates=keep_others(self.certificates, observed.certificates, str))

    def slots(self) -> Iterable[Hashable]:
        return (("port", str(self.load_balancer), self.port),)

    def settle(self, observed: Observed | None, lookups: Lookups) -> Self:
        if observed is None or not isinstance(observed.state, Listener):
            return self
        found = observed.state.default_action
        action = self.default_action.settle(found, lookups.addresses).with_secret(secrets.version_in(observed))
        return replace(self, default_action=action.keep_unsupported(found) if lookups.keeps_unsupported else action)


_BESIDE: Final = (
    "elasticloadbalancing:AddListenerCertificates",
    "elasticloadbalancing:RemoveListenerCertificates",
    "elasticloadbalancing:ModifyListenerAttributes",
)


class ListenerKind(HasAttributes[Listener]):
    """Drives listeners."""

    properties = Listener
    noun = "a listener"
    position = 90
    section = "listeners"
    entry_checks = (checks.check_entries,)
    audits = (audit,)
    arn_type = "listener/app"
    missing = ("ListenerNotFound",)
    usual: ClassVar[Mapping[str, Any]] = {"attributes.routing.http.response.server.enabled": True}
    quotas = (Quota("listeners-per-application-load-balancer", "listeners", 50, ("load_balancer",)),)
    iam_actions = IamActions(
        read=(
            "elasticloadbalancing:DescribeListeners", "elasticloadbalancing:DescribeListenerAttributes",
            "elasticloadbalancing:DescribeListenerCertificates", "elasticloadbalancing:DescribeTags",
            "elasticloadbalancing:DescribeTrustStores", *READ,
        ),
        look=("acm:DescribeCertificate", "elasticloadbalancing:DescribeAccountLimits"),
        create=("elasticloadbalancing:CreateListener", "elasticloadbalancing:AddTags", *_BESIDE, *secrets.WRITE),
        update=("elasticloadbalancing:ModifyListener", "elasticloadbalancing:AddTags", *_BESIDE, *secrets.WRITE),
        delete=("elasticloadbalancing:DeleteListener",),
        on={"elasticloadbalancing:CreateListener": "loadbalancer/app"},
        fields={
            "elasticloadbalancing:DescribeTrustStores": "mutual_authentication",
            "elasticloadbalancing:DescribeListenerAttributes": "attributes",
            "elasticloadbalancing:ModifyListenerAttributes": "attributes",
            "elasticloadbalancing:AddListenerCertificates": "certificates",
            "elasticloadbalancing:RemoveListenerCertificates": "certificates",
        },
    )  # fmt: skip

    def grants(self, wanted: Listener, scope: Scope) -> Iterable[Grant]:
        yield from secrets.secret_grants(scope, wanted.default_action)
        given = [item for item in (wanted.certificate_arn, *(wanted.certificates or ())) if item]
        arns = {str(item) for item in given if not isinstance(item, Address) and ":acm:" in item}
        if arns:
            yield Grant(("acm:DescribeCertificate",), tuple(sorted(arns)))

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Listener:
        read: dict[str, Any] = {"default_action": read_action(entry["default_action"], around)}
        if "certificates" in entry:
            named = [refer("certificate", item) for item in entry["certificates"]]
            default: Ref = fields.get("certificate_arn") or named[0]
            others = sorted({item for item in named if item != default}, key=str)
            read |= {"certificate_arn": default, "certificates": tuple(others)}
        if given := entry.get("mutual_authentication"):
            store = {"trust_store": refer("trust_store", given["trust_store"])} if "trust_store" in given else {}
            read["mutual_authentication"] = MutualAuthentication(**{**given, **store})
        return Listener(**{**fields, **read})

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        state = self.of(observed)
        mutual = state.mutual_authentication
        if mutual and mutual.mode != "off":
            said = {key: value for key, value in mutual._asdict().items() if value not in ("", False, "off")}
            entry["mutual_authentication"] = said
            if mutual.trust_store:
                said["trust_store"] = named.name_of(str(mutual.trust_store))
        return {**entry, "default_action": write_action(state.default_action, named)}

    def suggest_name(self, state: Listener) -> str:
        usual = {"HTTP": 80, "HTTPS": 443}[state.protocol] == state.port
        return state.protocol.lower() + ("" if usual else f"-{state.port}")

    def defaults_for(self, wanted: Listener, defaults: dict[str, Any]) -> dict[str, Any]:
        if wanted.protocol == "HTTP":
            defaults.pop("ssl_policy", None)
        return defaults

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        asked = [item for item in intents if item.wanted.certificate_arn and _gets_certificate(item)]
        found = await asyncio.gather(
            *(check_certificates(aws, item, _host_names(item, desired), desired) for item in asked),
            *(secrets.check_secret(aws, item, "default_action") for item in intents),
            check_providers(aws, intents, "default_action"),
        )
        return [finding for part in found for finding in part]

    async def adopt(self, aws: Aws, item: Adopted, known: Known, keep: Keep) -> Adopted:
        return await secrets.adopt_secret(aws, item, keep)

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        port = self.of(item.found).port
        return Evidence(0, f"its port {port}") if known.bound(desired).port == port else None

    async def discover(self, reader: Reader) -> list[Observed]:
        ours = [item for item in await reader.load_balancers() if reader.ours(item["Tags"])]
        found = await asyncio.gather(*(self._observe(reader, item) for item in ours))
        return [observed for part in found for observed in part]

    async def _observe(self, reader: Reader, balancer: dict[str, Any]) -> list[Observed]:
        parent = tags.own_address(balancer["Tags"], "load_balancer", balancer["LoadBalancerArn"])
        items = await reader.listeners(balancer["LoadBalancerArn"])
        return list(await asyncio.gather(*(self._observe_one(reader, parent, item) for item in items)))

    async def _observe_one(self, reader: Reader, parent: Address, item: dict[str, Any]) -> Observed:
        # another owner's listener gets an address that no spec can name
        own = tags.address_of(item["Tags"], "listener") if reader.ours(item["Tags"]) else None
        address = own or Address("listener", f"{parent.name}/:{item['Port']}")
        wanted = reader.desired.get(address)
        certificates = item.get("Certificates") or ()
        action, version = await secrets.observe_secret(
            reader, wanted, actions_from_aws(item["DefaultActions"]), item["Tags"]
        )
        state = Listener(
            load_balancer=item["LoadBalancerArn"],
            protocol=item["Protocol"],
            port=item["Port"],
            ssl_policy=item.get("SslPolicy") or None,
            certificate_arn=certificates[0]["CertificateArn"] if certificates else None,
            mutual_authentication=_mutual_from_aws(item.get("MutualAuthentication") or {}),
            default_action=action,
            **await self._read_beside(reader, item, wanted),
        )
        return Observed(
            address, item["ListenerArn"], state, item["Tags"], item["Tags"].get(tags.STACK), details=version,
            reason=tell_unsupported(state),
        )  # fmt: skip

    async def _read_beside(self, reader: Reader, item: Mapping[str, Any], wanted: Desired | None) -> dict[str, Any]:
        """The properties that DescribeListeners doesn't show, where the spec has them."""
        found: dict[str, Any] = {}
        arn = item["ListenerArn"]
        if reader.asks(wanted, "certificates") and (item["Protocol"] == "HTTPS" or not reader.thorough):
            with ignoring("ListenerNotFound"):
                rows = await reader.aws.pages(
                    "elbv2", "describe_listener_certificates", "Certificates", ListenerArn=arn
                )
                arns = {row["CertificateArn"] for row in rows}
                default = {row["CertificateArn"] for row in rows if row.get("IsDefault")}
                found["certificates"] = tuple(sorted(arns - default))
        if reader.asks(wanted, "attributes"):
            have = await reader.beside("a listener's attributes", self.read_attributes(reader.aws, arn)) or {}
            declared = getattr(wanted.state, "attributes", None) if wanted else None
            # AWS may not show an attribute without a value
            found["attributes"] = {**dict.fromkeys(declared or (), ""), **have}
        return found

    async def create(self, run: Run, wanted: Listener, desired: Desired) -> str:
        await wait_for_shift(run, run.step.detail(Shift))
        told, secret_tags = await secrets.action_with_secret(run, wanted.default_action)
        answer = await call_with_actions(run.aws, "create_listener", retry=waits.LISTENER_UNKNOWN,
            LoadBalancerArn=wanted.load_balancer, Port=wanted.port, DefaultActions=told,
            Tags=[*run.tag_list(desired), *tags.to_list(secret_tags)], **_tls_told(wanted), **_mutual_told(wanted),
        )  # fmt: skip
        arn = str(answer["Listeners"][0]["ListenerArn"])
        if not await is_ours(run, desired, arn):
            raise RefusedError(
                f"port {wanted.port} is in use by a listener outside this stack; plan says how to adopt it; or choose another port"
            )
        run.others.announce(arn, usable=True)
        await all_of(
            self._add_certificates(run, arn, wanted.certificates or ()),
            self.write_attributes(run, arn, wanted.attributes),
        )
        return arn

    async def update(self, run: Run, wanted: Listener, observed: Observed, fields: frozenset[str]) -> None:
        """Change a listener; unchanged settings aren't sent, so that AWS keeps them."""
        if await is_attached(run):
            return
        await wait_for_shift(run, run.step.detail(Shift))
        before = self.of(observed).certificates or ()
        certificates = wanted.certificates or () if "certificates" in fields else before
        changed: dict[str, Any] = {"Port": wanted.port} if "port" in fields else {}
        if fields & {"protocol", "ssl_policy", "certificate_arn"}:
            changed |= _tls_told(wanted)
        if "mutual_authentication" in fields:
            changed |= _mutual_told(wanted)
        if "protocol" not in fields:
            await self._add_certificates(run, observed.id, set(certificates).difference(before))
        secret_tags: dict[str, str] = {}
        if "default_action" in fields:
            changed["DefaultActions"], secret_tags = await secrets.action_with_secret(
                run, wanted.default_action, observed
            )
        if changed:
            await call_with_actions(
                run.aws, "modify_listener", retry=waits.LISTENER_UNKNOWN, ListenerArn=observed.id, **changed
            )
        if secret_tags:
            await run.tag(observed.id, secret_tags)
        if "protocol" in fields and wanted.protocol == "HTTPS":
            await self._add_certificates(run, observed.id, set(certificates).difference(before))
        # a certificate that has become the default one can't be removed
        for arn in sorted(map(str, set(before).difference(certificates, {wanted.certificate_arn}))):
            told: dict[str, Any] = {"ListenerArn": observed.id, "Certificates": [{"CertificateArn": arn}]}
            await run.aws.call("elbv2", "remove_listener_certificates", retry=waits.LISTENER_UNKNOWN, **told)
        await self.write_attributes(run, observed.id, wanted.attributes, fields)

    async def _add_certificates(self, run: Run, listener: str, arns: Iterable[Ref]) -> None:
        """Add certificates, one a call, as AWS wants it."""
        for arn in sorted(map(str, arns)):
            told: dict[str, Any] = {"ListenerArn": listener, "Certificates": [{"CertificateArn": arn}]}
            await run.aws.call("elbv2", "add_listener_certificates", retry=waits.LISTENER_UNKNOWN, **told)


def _mutual_told(wanted: Listener) -> dict[str, Any]:
    """The parameter of CreateListener and ModifyListener for mutual authentication."""
    item = wanted.mutual_authentication
    if item is None:
        return {}
    told: dict[str, Any] = {"Mode": item.mode}
    if item.mode == "verify":
        told |= {
            "TrustStoreArn": item.trust_store,
            "IgnoreClientCertificateExpiry": item.ignore_client_certificate_expiry,
            "AdvertiseTrustStoreCaNames": item.advertise_trust_store_ca_names,
        }
    return {"MutualAuthentication": told}


def _mutual_from_aws(item: Mapping[str, Any]) -> MutualAuthentication:
    """A listener's mutual authentication; a listener of HTTP has none, which is the same as off."""
    if item.get("Mode") != "verify":
        return MutualAuthentication(item.get("Mode") or "off")
    return MutualAuthentication(
        "verify",
        item.get("TrustStoreArn") or "",
        bool(item.get("IgnoreClientCertificateExpiry")),
        item.get("AdvertiseTrustStoreCaNames") or "off",
    )


def _tls_told(wanted: Listener) -> dict[str, Any]:
    """The parameters of CreateListener and ModifyListener for the protocol and TLS."""
    told: dict[str, Any] = {"Protocol": wanted.protocol}
    if wanted.protocol == "HTTPS":
        if wanted.ssl_policy:
            told["SslPolicy"] = wanted.ssl_policy
        told["Certificates"] = [{"CertificateArn": wanted.certificate_arn}]
    return told


def _gets_certificate(item: Intent) -> bool:
    return item.fields is None or not item.fields.isdisjoint({"certificate_arn", "certificates", "protocol"})


def _host_names(item: Intent, desired: Mapping[Address, Desired]) -> set[str]:
    """The host names in the rules of a listener."""
    conditions = (
        condition
        for rule in desired.values()
        if getattr(rule.state, "listener", None) == item.desired.address
        for condition in getattr(rule.state, "conditions", ())
    )
    return {value for item in conditions if item.field == "host_header" for value in item.values}


KIND: Final = ListenerKind()
