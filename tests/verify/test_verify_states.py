"""`alb-reconcile verify` on stacks that aren't as they should be, each in an account of its own; and over TLS."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.engine.discover import discover
from alb_reconcile.verification.checks import Choice, plan_checks
from tests.harness import demo, load, world
from tests.kinds.hand import edited
from tests.verify import servers
from tests.verify.bench import QUICK, Bench, converged, to

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_ill_targets_are_named_and_get_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of two; then both, when the load balancer fails open; then the balancer is gone."""
    with converged(demo()) as account:
        bench = Bench(account, demo(), tmp_path, capsys)
        names, client = bench.instances(), account.client("elbv2")
        [group] = client.describe_target_groups()["TargetGroups"]
        [balancer] = client.describe_load_balancers()["LoadBalancers"]
        account.strict.set_target_unhealthy(group["TargetGroupArn"], names["web-2"], "Target.Timeout")
        account.clock.advance(300)
        with servers.front(servers.in_turn(names["web-1"])) as front:
            one = bench.run(*to(front.port), *QUICK)
        with servers.front(servers.in_turn(*names.values())) as front:
            leaked = bench.run(*to(front.port), *QUICK)
        account.strict.set_target_unhealthy(group["TargetGroupArn"], names["web-1"], "Target.Timeout")
        account.clock.advance(300)
        with servers.front(servers.in_turn(*names.values())) as front:
            none = bench.run(*to(front.port), *QUICK)
        client.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
        gone = bench.run()
    assert (one.code, leaked.code, none.code, gone.code) == (1, 1, 1, 1)
    assert "web-2 of web: not healthy, so the others get all requests" in one.flat
    assert "Target.Timeout" in one.text
    assert "web-2 answered 50.0% of the requests instead of 0.0%" in leaked.flat
    assert "no target of web is healthy, so all of them get requests (fail-open)" in none.flat
    assert "its load balancer doesn't exist; run apply first" in gone.text


@pytest.mark.parametrize("is_back", [False, True])
def test_after_a_swap_that_failed_the_group_that_serves_is_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, is_back: bool
) -> None:
    with converged(demo()) as account:
        [old] = account.client("elbv2").describe_target_groups()["TargetGroups"]
        account.strict.health = lambda group, *_: None if group == old["TargetGroupArn"] else "unhealthy"
        wrong = edited(demo(), "target_groups/web/health_check/path", "/typo")
        assert account.apply(wrong).failures
        wanted = demo() if is_back else wrong
        bench = Bench(account, wanted, tmp_path, capsys)
        with servers.front(servers.in_turn(*bench.instances().values())) as front:
            shown = bench.run(*to(front.port), *QUICK)
        target = load(wanted).target()
        found: Any = account._run(lambda aws: discover(aws, target.stack, target.desired))
    assert (shown.code, "unhealthy" in shown.flat) == (0, False)
    for resources in (found.resources, found.resources[::-1]):  # in which order they come is AWS's doing
        [check] = plan_checks(replace(found, resources=resources), target.desired, Choice())
        assert [part.target_group for part in check.action.forward] == [old["TargetGroupArn"]]


def test_certificates_and_http_versions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority, spec = servers.Authority(tmp_path), demo()
    with world() as account:
        certificate = account.client("acm").request_certificate(DomainName="shop.example.com")
        listener = spec["load_balancers"]["public"]["listeners"]["http"]
        listener.update(protocol="HTTPS", port=443, certificate_arn=certificate["CertificateArn"])
        account.converge(spec)
        bench = Bench(account, spec, tmp_path, capsys)
        ids, trust = tuple(bench.instances().values()), ("--ca-file", authority.file)
        with servers.front(servers.in_turn(*ids), authority.context("shop.example.com")) as front:
            way = (*to(front.port, 443), *QUICK, "--http", "1.1")
            doubted, careless = bench.run(*way), bench.run(*way, "--insecure")
            named, misnamed = (bench.run(*way, *trust, "--host", f"{name}.example.com") for name in ("shop", "other"))
            old = bench.run(*to(front.port, 443), *QUICK, *trust)
        with servers.front_http2(authority.context("shop.example.com", alpn="h2"), ids) as port:
            new = bench.run(*to(port, 443), *QUICK, *trust, "--http", "2", "--format", "json")
        soon = authority.context("shop.example.com", ends=datetime.now(UTC) + timedelta(days=9, hours=1))
        with servers.front(servers.in_turn(*ids), soon) as front:
            ending = bench.run(*to(front.port, 443), *QUICK, "--http", "1.1", *trust)
        unread = bench.run(*way, *trust, "--client-certificate", str(bench.file))
        missing, garbage = (bench.run(*way, "--ca-file", str(file)) for file in (tmp_path / "none.pem", bench.file))
    assert [item.code for item in (doubted, careless, named, misnamed, old, new, ending)] == [1, 0, 0, 1, 1, 0, 0]
    assert "the certificate isn't trusted; renew it, or name its authority with --ca-file" in doubted.flat
    assert "isn't valid for 'other.example.com'" in misnamed.flat or "mismatch" in misnamed.flat
    assert "the certificate is for other names; add this name to it, or choose another certificate" in misnamed.flat
    assert "--ca-file" not in misnamed.flat
    assert "20 of 40 requests: HTTP/1.1 was spoken instead of HTTP/2" in old.flat
    check = new.check("listener.public/http")
    assert check["protocols"] == {"2": 40}
    [tls] = check["tls"]
    assert (tls["version"], tls["names"], tls["days_left"] > 30) == ("TLSv1.3", ["shop.example.com"], True)
    assert "Testing CA" in tls["issuer"]
    assert "TLS 1.3 · certificate of" in named.flat
    assert "expires in 9 days" in ending.flat
    assert "certificate of" not in careless.flat
    for item, option in ((unread, "--client-certificate"), (missing, "--ca-file"), (garbage, "--ca-file")):
        assert (item.code, item.text, f"can't be used as {option}" in item.errors) == (1, "", True)
