"""Imitates AWS's rules for listeners, and for the actions and conditions that listeners and rules share."""

from collections.abc import Callable
from typing import Any

from moto.acm.models import acm_backends
from moto.elbv2.models import FakeAction
from moto.elbv2.ssl_policies import SSL_POLICIES

from .elb_attributes import listener_defaults
from .elb_authentication import AUTHENTICATING, check_order, complete_authentication
from .elb_trust_stores import check_mutual, set_mutual
from .health import balancer_of, forwarded
from .rule import Call, around, before, refuse

DEFAULT_POLICY = "ELBSecurityPolicy-2016-08"
MOST_GROUPS, MOST_CERTIFICATES = 5, 25
REDIRECT = {"Protocol": "#{protocol}", "Port": "#{port}", "Host": "#{host}", "Path": "/#{path}", "Query": "#{query}"}


def listener_of(call: Call) -> Any:
    arn = call.given("ListenerArn")
    found = next((listener for listener in call.world.listeners() if listener.arn == arn), None)
    if found is None:
        refuse("ListenerNotFound", f"Listeners '{arn}' not found")
    return found


def complete_action(action: dict[str, Any], order: int, held: list[Any]) -> dict[str, Any]:
    """An action as DescribeListeners and DescribeRules show it, with AWS's defaults filled in. `held` are the previous actions."""
    whole: dict[str, Any] = {**action, "Order": action.get("Order", order)}
    if action.get("Type") == "redirect":
        whole["RedirectConfig"] = REDIRECT | (action.get("RedirectConfig") or {})
    if action.get("Type") in AUTHENTICATING:
        return complete_authentication(whole, held)
    if action.get("Type") != "forward":
        return whole
    config = dict(action.get("ForwardConfig") or {})
    groups = config.get("TargetGroups") or [{"TargetGroupArn": action.get("TargetGroupArn")}]
    config["TargetGroups"] = [{"Weight": 1, **group} for group in groups]
    sticky = {"Enabled": False, **(config.get("TargetGroupStickinessConfig") or {})}
    config["TargetGroupStickinessConfig"] = sticky
    whole["ForwardConfig"] = config
    whole.pop("TargetGroupArn", None)
    if len(groups) == 1:
        whole["TargetGroupArn"] = groups[0]["TargetGroupArn"]
    return whole


def complete_actions(actions: list[Any], held: list[Any]) -> list[dict[str, Any]]:
    return [complete_action(dict(action), order, held) for order, action in enumerate(actions, 1)]


def check_actions(call: Call, actions: list[Any], balancer: Any, protocol: str, port: int) -> None:
    """CreateListener, CreateRule: check actions, by the listener's protocol and port."""
    check_order(actions, protocol)
    check_forwards(call, actions, balancer, protocol)
    for action in actions:
        if action.get("Type") == "redirect":
            check_redirect(action["RedirectConfig"], protocol, port)


def check_redirect(config: dict[str, Any], protocol: str, port: int) -> None:
    """AWS ELB, 'RedirectActionConfig': 'You can't redirect HTTPS to HTTP'; 'You must modify at least one of the following
    components to avoid a redirect loop' (InvalidLoadBalancerAction: aws-load-balancer-controller, issue 487)."""
    if protocol == "HTTPS" and config["Protocol"] == "HTTP":
        refuse(
            "InvalidLoadBalancerAction", "The redirect configuration is not valid: HTTPS can't be redirected to HTTP"
        )
    same = {"Protocol": protocol, "Port": str(port)}
    if all(str(config[part]) in (REDIRECT[part], same.get(part)) for part in ("Protocol", "Port", "Host", "Path")):
        refuse("InvalidLoadBalancerAction", "The redirect configuration is not valid because it creates a loop.")


def check_forwards(call: Call, actions: list[Any], balancer: Any, protocol: str) -> None:
    """CreateListener, CreateRule: a forward has at most five groups (TooManyTargetGroups). Each group must exist (TargetGroupNotFound), be
    in the load balancer's VPC, and be used by no other load balancer (TargetGroupAssociationLimit). Among several groups, a sticky one
    needs a sticky forward (argo-rollouts, pull request 1577). Behind an HTTP listener the protocol version must be HTTP1
    (InvalidLoadBalancerAction: aws-load-balancer-controller, issue 4497; AWS ELB, 'Target groups': HTTP2 and GRPC need an HTTPS
    listener)."""
    for action in actions:
        arns = forwarded([action])
        if len(arns) > MOST_GROUPS:
            refuse("TooManyTargetGroups", f"A forward action can have at most {MOST_GROUPS} target groups")
        sticky = (action.get("ForwardConfig") or {}).get("TargetGroupStickinessConfig") or {}
        if sticky.get("Enabled") and not sticky.get("DurationSeconds"):
            refuse("ValidationError", "Target group stickiness duration must be specified")
        groups = [found for arn in arns if (found := call.world.elb.target_groups.get(arn))]
        if len(arns) > 1 and not sticky.get("Enabled") and any(map(is_sticky, groups)):
            refuse(
                "InvalidLoadBalancerAction",
                "You must enable group stickiness on a rule if you enabled target stickiness on one of its target groups",
            )
        for arn in arns:
            group = call.world.elb.target_groups.get(arn)
            if group is None:
                refuse("TargetGroupNotFound", f"Target groups '{arn}' not found")
            if group.target_type != "lambda" and group.vpc_id != balancer.vpc_id:  # a group of functions has no VPC
                refuse(
                    "InvalidConfigurationRequest", f"The target group '{arn}' is not in the VPC of the load balancer"
                )
            if protocol == "HTTP" and group.protocol_version in ("HTTP2", "GRPC"):
                refuse(
                    "InvalidLoadBalancerAction",
                    f"Listener protocol 'HTTP' is not supported with a target group with the protocol-version "
                    f"'{group.protocol_version}'",
                )
            user = balancer_of(call.world, arn)
            if user is not None and user.arn != balancer.arn:
                refuse(
                    "TargetGroupAssociationLimit",
                    f"The following target groups cannot be associated with more than one load balancer: {arn}",
                )


def is_sticky(group: Any) -> bool:
    return str(group.attributes.get("stickiness.enabled")) == "true"


def check_tls(call: Call, protocol: str, certificates: list[Any], policy: str | None) -> None:
    """CreateListener, ModifyListener: an HTTPS listener has one certificate that exists, and a known policy."""
    if policy is not None and policy not in SSL_POLICIES:
        refuse("SSLPolicyNotFound", f"SSL policy '{policy}' not found")
    for certificate in certificates:
        arn = certificate.get("CertificateArn")
        if not call.world.elb._certificate_exists(certificate_arn=arn):
            refuse("CertificateNotFound", f"Certificate ARN '{arn}' is not valid")
        if ":acm:" in arn and not is_issued(call, arn):
            refuse(
                "UnsupportedCertificate",
                f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, and a supported "
                "key size.",
            )
    if protocol == "HTTPS" and not certificates:
        refuse("ValidationError", "A certificate must be specified for HTTPS listeners")
    if protocol != "HTTPS" and (certificates or policy):
        refuse("InvalidConfigurationRequest", f"A certificate cannot be specified for {protocol} listeners")
    if len(certificates) > 1:
        refuse("TooManyCertificates", "You must specify exactly one default certificate")


def is_issued(call: Call, arn: str) -> bool:
    """Whether a certificate is issued: a pending one can't be deployed (ACM User Guide, "Services integrated with ACM")."""
    certificate = acm_backends[call.world.account][call.world.region].get_certificate(arn)
    certificate.check()
    return bool(certificate.status == "ISSUED")


@around("CreateListener")
def listener_is_made_once(call: Call, proceed: Callable[[], Any]) -> Any:
    """CreateListener: 'If you attempt to create multiple listeners with the same settings, each call succeeds';
    if a listener with other settings has the port, DuplicateListener."""
    balancer = call.world.elb.load_balancers.get(call.given("LoadBalancerArn"))
    if balancer is None:
        refuse("LoadBalancerNotFound", f"Load balancer '{call.given('LoadBalancerArn')}' not found")
    protocol, certificates = call.given("Protocol", ""), call.given("Certificates", [])
    check_tls(call, protocol, certificates, call.given("SslPolicy"))
    actions = complete_actions(call.given("DefaultActions", []), [])
    check_actions(call, actions, balancer, protocol, int(call.given("Port", 0)))
    policy = call.given("SslPolicy", DEFAULT_POLICY) if protocol == "HTTPS" else None
    settings = (protocol, policy, [c["CertificateArn"] for c in certificates], actions)
    for other in balancer.listeners.values():
        if int(other.port) == int(call.given("Port", 0)):
            if settings != settings_of(other):
                refuse("DuplicateListener", "A listener already exists on this port for this load balancer")
            return {"Listeners": [show_listener(call, other)]}
    call.params["DefaultActions"] = actions
    check_mutual(call, protocol)
    result = proceed()
    made = result["Listeners"][0]
    made.ssl_policy, made.attributes = policy, listener_defaults()
    set_mutual(call, made, protocol)
    return {"Listeners": [show_listener(call, made)]}


def settings_of(listener: Any) -> tuple[Any, ...]:
    actions = [action.data for action in listener.default_actions]
    default = [listener.certificate] if listener.certificate else []
    return (listener.protocol, listener.ssl_policy, default, actions)


@around("ModifyListener")
def listener_keeps_what_is_not_given(call: Call, _: Callable[[], Any]) -> Any:
    """ModifyListener: 'Any properties that you do not specify remain unchanged'; a change from HTTPS to HTTP removes
    the policy and the certificates."""
    listener = listener_of(call)
    balancer = call.world.elb.load_balancers[listener.load_balancer_arn]
    protocol = call.given("Protocol", listener.protocol)
    if protocol not in ("HTTP", "HTTPS"):
        refuse("UnsupportedProtocol", f"Protocol '{protocol}' is not supported")
    port = int(call.given("Port", listener.port))
    if any(int(other.port) == port for other in balancer.listeners.values() if other.arn != listener.arn):
        refuse("DuplicateListener", "A listener already exists on this port for this load balancer")
    held = [{"CertificateArn": listener.certificate}] if listener.certificate and protocol == "HTTPS" else []
    certificates = call.given("Certificates") or held
    check_tls(call, protocol, certificates, call.given("SslPolicy"))
    held_actions = [action.data for action in listener.default_actions]
    actions = complete_actions(call.given("DefaultActions", []), held_actions)
    check_actions(call, actions or held_actions, balancer, protocol, port)
    policy = call.given("SslPolicy") or listener.ssl_policy or DEFAULT_POLICY
    set_mutual(call, listener, protocol)
    listener.port, listener.protocol = port, protocol
    listener.ssl_policy = policy if protocol == "HTTPS" else None
    new = certificates[0]["CertificateArn"] if certificates else None
    listener.certificates = [new, *[c for c in listener.certificates[1:] if c != new]] if new else []
    listener.certificate = new
    if actions:
        listener.default_actions = [FakeAction(action) for action in actions]
        listener._default_rule[0].actions = listener.default_actions
    return {"Listeners": [show_listener(call, listener)]}


@before("DescribeListeners")
def listeners_named_exist(call: Call) -> None:
    """DescribeListeners: ListenerNotFound when any is missing (moto: all)."""
    known = {listener.arn for listener in call.world.listeners()}
    for arn in call.given("ListenerArns", []):
        if arn not in known:
            refuse("ListenerNotFound", f"Listeners '{arn}' not found")


@around("DescribeListeners")
def listeners_show_their_default_certificate(call: Call, proceed: Callable[[], Any]) -> Any:
    """DescribeListeners: Certificates is the default certificate only, not those added for SNI."""
    result = proceed()
    return {"Listeners": [show_listener(call, listener) for listener in result["Listeners"]]}


def show_listener(call: Call, listener: Any) -> dict[str, Any]:
    return {
        "ListenerArn": listener.arn,
        "LoadBalancerArn": listener.load_balancer_arn,
        "Port": listener.port,
        "Protocol": listener.protocol,
        "DefaultActions": [action.data for action in listener.default_actions],
        "SslPolicy": listener.ssl_policy,
        "Certificates": listener.certificates[:1],
        "MutualAuthentication": call.world.ledger.mutual.get(listener.arn),
    }


@around("AddListenerCertificates")
def certificates_are_added_once(call: Call, _: Callable[[], Any]) -> Any:
    """AddListenerCertificates: 'You can specify one certificate per call'; 'If the certificate in already in the certificate list,
    the call is successful but the certificate is not added again'; TooManyCertificates beyond 25 a load balancer ('Quotas',
    without default certificates); CertificateNotFound."""
    listener, given = listener_of(call), call.given("Certificates", [])
    if listener.protocol != "HTTPS":
        refuse("ValidationError", "Certificates can only be added to HTTPS listeners")
    if len(given) != 1 or given[0].get("IsDefault"):
        refuse("ValidationError", "Exactly one certificate must be specified, without IsDefault")
    arn = given[0]["CertificateArn"]
    check_tls(call, "HTTPS", given, None)
    others = call.world.elb.load_balancers[listener.load_balancer_arn].listeners.values()
    if arn not in listener.certificates[1:]:
        if sum(len(other.certificates[1:]) for other in others) >= MOST_CERTIFICATES:
            refuse("TooManyCertificates", "The quota for certificates of the load balancer has been reached")
        listener.certificates.append(arn)
    return {"Certificates": [{"CertificateArn": item} for item in listener.certificates[1:]]}


@around("RemoveListenerCertificates")
def default_certificate_stays(call: Call, _: Callable[[], Any]) -> Any:
    """RemoveListenerCertificates: OperationNotPermitted for the default certificate."""
    listener = listener_of(call)
    for item in call.given("Certificates", []):
        if item["CertificateArn"] not in listener.certificates[1:]:
            if item["CertificateArn"] in listener.certificates:
                refuse("OperationNotPermitted", "The default certificate cannot be removed")
            continue
        listener.certificates = [
            *listener.certificates[:1],
            *(c for c in listener.certificates[1:] if c != item["CertificateArn"]),
        ]
    return None
