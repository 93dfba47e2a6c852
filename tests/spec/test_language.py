"""What variables, the region, merge keys and the order of things do in a spec."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import SpecError
from alb_reconcile.model.resource import Rollout
from alb_reconcile.spec.document import parse
from alb_reconcile.spec.stack import load_stack, parse_stack
from alb_reconcile.spec.variables import variables_in
from tests.spec.helpers import NETWORK, declared, get, load, refusal

if TYPE_CHECKING:
    from pathlib import Path


class TestVariables:
    """`${NAME}`, from `--set` and the environment."""

    def test_set_outranks_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "stack.yaml"
        file.write_text("stack: ${STACK}\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n", encoding="utf-8")
        monkeypatch.setenv("STACK", "from-environment")
        assert load_stack(str(file)).name == "from-environment"
        assert load_stack(str(file), {"STACK": "from-set"}).name == "from-set"
        assert os.environ["STACK"] == "from-environment"

    @pytest.mark.parametrize(
        ("text", "variables", "tag"),
        [
            ("${A:-default}", {}, "default"),
            ("${A:-default}", {"A": ""}, "default"),
            ("${A:-default}", {"A": "given"}, "given"),
            ("x${A:-}y", {}, "xy"),
            ("${A}-${B}", {"A": "one", "B": "two"}, "one-two"),
            ("${A}${A}", {"A": "aa"}, "aaaa"),
            ("${A}", {"A": "on"}, "on"),
            ("$${A}", {}, "${A}"),
            ("a$${b}c${A}", {"A": "value"}, "a${b}cvalue"),
            ("$$${A}", {}, "$${A}"),
            ("$A", {"A": "value"}, "$A"),
            ("$$", {}, "$$"),
            ("100$", {}, "100$"),
            ("${A:-$5}", {"A": "value"}, "value"),
            ("${B:-cost$}", {}, "cost$"),
            ("${A}", {"A": "${B}", "B": "no"}, "${B}"),
        ],
    )
    def test_substitution(self, text: str, variables: dict[str, str], tag: str) -> None:
        """Only ${ is special; what a variable brings in isn't looked at again."""
        stack = load(NETWORK.replace("10.0.0.0/16}", f"10.0.0.0/16, name: '{text}'}}"), variables)
        assert get(stack, "vpc.main").tags["Name"] == tag

    @pytest.mark.parametrize(
        "text", ["~", "null", "{a: b}", "[a]", "1.50", "yes", "#x", "*a", '"', "- a", "2026-01-01"]
    )
    def test_a_value_isnt_read_as_yaml(self, text: str) -> None:
        spec = NETWORK.replace("10.0.0.0/16}", "10.0.0.0/16, enable_dns_hostnames: '${A}'}")
        assert f'enable_dns_hostnames: is the text "{text}"; give it true or false' in refusal(spec, {"A": text})
        answer = (
            "{default_action: {fixed_response: {status_code: 200, message_body: '${A}'}}, protocol: HTTP, port: 80}"
        )
        spec = NETWORK + (
            "  b: {cidr_block: 10.0.7.0/24, availability_zone: b}\nload_balancers:\n"
            f"  web: {{scheme: internal, subnets: [a, b], listeners: {{http: {answer}}}}}\n"
        )
        listener: Any = get(load(spec, {"A": text}), "listener.web/http").state
        assert dict(listener.default_action.fixed_response)["message_body"] == text

    def test_values_are_typed_by_the_schema(self) -> None:
        spec = NETWORK.replace("a}", 'a, map_public_ip_on_launch: "${PUBLIC}"}') + (
            "target_groups:\n"
            '  web: {protocol: HTTP, port: "${PORT}", health_check: {port: "${PORT}", matcher: "${CODE}",\n'
            '    interval_seconds: "${SECONDS:-10}", timeout_seconds: "${T:-3}"}}\n'
            "security_groups:\n"
            "  web:\n"
            '    ingress: [{protocol: icmp, from_port: "${ANY}", to_port: "${ANY}", cidr_block: 10.0.0.0/8}]\n'
        )
        given = {"PUBLIC": "true", "PORT": "8080", "CODE": "200", "ANY": "-1"}
        stack = load(spec, given)
        assert declared(get(stack, "subnet.a").state)["map_public_ip_on_launch"] is True
        group: Any = get(stack, "target_group.web").state
        assert group.port == 8080
        numbers = {"interval_seconds": 10, "timeout_seconds": 3}
        assert group.health_check == {"port": "8080", "matcher": "200", **numbers}
        rules: Any = get(stack, "security_group_rules.web").state
        assert rules.ingress[0][:3] == ("icmp", -1, -1)

    @pytest.mark.parametrize("value", ["08080", "80.0", "8_0", "0x50", " 80", "80\n", "٨٠", "true", "", "--80"])
    def test_what_is_no_number_is_refused(self, value: str) -> None:
        spec = NETWORK + 'target_groups:\n  web: {protocol: HTTP, port: "${PORT}"}\n'
        assert "target_groups.web.port: is the text" in refusal(spec, {"PORT": value})

    @pytest.mark.parametrize("value", ["yes", "True", "1", "on", ""])
    def test_what_is_no_boolean_is_refused(self, value: str) -> None:
        spec = NETWORK.replace("a}", 'a, map_public_ip_on_launch: "${PUBLIC}"}')
        assert "map_public_ip_on_launch: is the text" in refusal(spec, {"PUBLIC": value})

    def test_user_data_is_verbatim(self) -> None:
        """${…} is the shell's there, and $${ too; where an alias uses it elsewhere it is filled in."""
        script = "#!/bin/sh\necho ${HOME} $${PATH} ${UNDEFINED:-x} ${\n"
        body = "".join(f"      {line}\n" for line in script.splitlines())
        web = "instances:\n  web:\n    image_id: ami-01234567\n    instance_type: t3.micro\n    subnets: [a]\n"
        instance: Any = get(load(f"{NETWORK}{web}    user_data: |\n{body}", {"HOME": "/wrong"}), "instance.web-1").state
        assert instance.user_data.content == script.encode()
        desired: Any = get(
            load(f"{NETWORK}{web}    user_data: &x '${{A}}'\n    name: *x\n", {"A": "b"}), "instance.web-1"
        )
        assert (desired.state.user_data.content, desired.tags["Name"]) == (b"${A}", "b")

    def test_which_are_used(self) -> None:
        text = """
stack: ${A}
tags: &all {b: '${B:-x} ${C}', c: '$${NOT}', d: '${E} ${F}', e: [1, '${G}', null]}
instances: {a: {user_data: '${H} ${A}', tags: *all}}
"""
        found = variables_in(parse(text.encode())[0])
        assert set(found) == {*((name, False) for name in "ABCEFG"), ("H", True), ("A", True)}


def test_the_region_is_the_specs_or_the_options() -> None:
    without = NETWORK.replace("region: eu-west-1\n", "")
    stack = load(without, region="eu-north-1")
    assert stack.region == "eu-north-1"
    assert declared(get(stack, "subnet.a").state)["availability_zone"] == "eu-north-1a"
    assert load(NETWORK, region="eu-west-1").region == "eu-west-1"
    message = refusal(NETWORK, region="eu-north-1")
    assert message.startswith("spec.yaml:2:9: region: is eu-west-1, but --region says eu-north-1;")
    assert load(without).region is None


class TestYaml:
    """What YAML offers beyond plain trees."""

    def test_merge_keys_in_order(self) -> None:
        """The first source of a list wins, and the mapping itself over all."""
        spec = NETWORK + (
            "target_groups:\n"
            "  one: &one {protocol: HTTP, port: 81, name: one}\n"
            "  two: &two {protocol: HTTPS, port: 82, tags: {a: b}}\n"
            "  three:\n    <<: [*one, *two]\n    name: three\n"
        )
        group = get(load(spec), "target_group.three")
        own = {"protocol": "HTTP", "port": 81, "name": "three"}
        assert declared(group.state) | {"vpc": None} == {"vpc": None, **own}
        assert group.tags["a"] == "b"

    @pytest.mark.parametrize(
        "text",
        [
            "stack: shop\r\nregion: eu-west-1\r\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\r\n",
            "\ufeffstack: shop\nregion: eu-west-1\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n",
            "---\nstack: shop\nregion: eu-west-1\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n...\n",
            '{"stack": "shop", "region": "eu-west-1", "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}}}',
            "%YAML 1.2\n---\nstack: shop\nregion: eu-west-1\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n",
            "? stack\n: shop\n? region\n: eu-west-1\n? vpcs\n: {main: {cidr_block: 10.0.0.0/16}}\n",
            "stack: !!str shop\nregion: >-\n  eu-west-1\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n",
            "# no\nstack: shop # stack\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\nregion: eu-west-1",
        ],
    )
    def test_ways_to_write_it(self, text: str) -> None:
        stack = load(text)
        assert (stack.name, stack.region, [*map(str, stack.desired)]) == ("shop", "eu-west-1", ["vpc.main"])


def test_the_order_of_references_means_nothing() -> None:
    """Of keys: `test_the_order_of_mappings_means_nothing`."""
    one = NETWORK + (
        "  b: {cidr_block: 10.0.2.0/24, availability_zone: b}\n"
        "instances:\n  web: {image_id: ami-01234567, instance_type: t3.micro, subnets: [a, b], count: 1}\n"
    )
    other = load(one.replace("[a, b]", "[b, a]"))
    assert get(load(one), "instance.web-1").state == get(other, "instance.web-1").state


def test_a_count_without_effect_changes_no_digest() -> None:
    """A group that grows doesn't look like members that were changed."""
    spec = NETWORK + (
        "instances:\n  web: {image_id: ami-01234567, instance_type: t3.micro, subnets: [a], count: COUNT}\n"
    )
    one, five = load(spec.replace("COUNT", "1")), load(spec.replace("COUNT", "5"))
    none = load(spec.replace(", count: COUNT", ""))
    assert get(one, "instance.web-1").spec_digest == get(five, "instance.web-5").spec_digest
    assert get(one, "instance.web-1").spec_digest == get(none, "instance.web-1").spec_digest


def test_what_a_file_says_changes_the_digest(tmp_path: Path) -> None:
    spec = f"{NETWORK}instances: {{web: {{image_id: ami-12345678, instance_type: t3.micro, subnets: [a], user_data_file: boot}}}}\n"
    digests = []
    for script in ("#!/bin/sh\n", "#!/bin/sh\nreboot\n"):
        (tmp_path / "boot").write_text(script, encoding="utf-8")
        stack = parse_stack(spec.encode(), "spec.yaml", tmp_path, {})
        digests.append(get(stack, "instance.web-1").spec_digest)
    assert digests[0] != digests[1]


class TestEntries:
    """What single keys of an entry come to."""

    INSTANCE = "image_id: ami-01234567, instance_type: t3.micro, subnets: [a]"

    def test_state_any_is_not_managed(self) -> None:
        text = NETWORK + "instances:\n  web: {%s, state: any}\n  db: {%s, state: stopped}\n"
        stack = load(text % (self.INSTANCE, self.INSTANCE))
        assert "state" not in declared(get(stack, "instance.web-1").state)
        assert declared(get(stack, "instance.db-1").state)["state"] == "stopped"

    def test_targets_of_both_sorts(self) -> None:
        """A literal id is taken as it is, and what the spec stops isn't registered."""
        text = NETWORK + (
            "instances:\n  web: {%s, count: 2}\n  db: {%s, state: stopped}\n"
            "target_groups:\n  web: {protocol: HTTP, port: 80, targets: [web, db, i-0a1b2c3d]}\n"
        )
        found = [str(address) for address in load(text % (self.INSTANCE, self.INSTANCE)).desired]
        assert [address for address in found if address.startswith("registration.")] == [
            "registration.web/web-1:80",
            "registration.web/web-2:80",
            "registration.web/i-0a1b2c3d:80",
        ]

    def test_names_of_members(self) -> None:
        """With `count` they are numbered, and without it they aren't."""
        text = NETWORK + "instances:\n  web: {%s, name: w, count: 2}\n  db: {%s, name: d}\n  none: {%s, count: 0}\n"
        stack = load(text % ((self.INSTANCE,) * 3))
        names = [get(stack, f"instance.{name}").tags["Name"] for name in ("web-1", "web-2", "db-1")]
        assert names == ["w-1", "w-2", "d"]
        assert Address("instance", "none-1") not in stack.desired

    def test_an_entrys_tags_win(self) -> None:
        """And null leaves out one of the stack's."""
        text = NETWORK.replace("/16}", "/16, tags: {a: own, c: null}}") + "tags: {a: common, b: common, c: common}\n"
        assert get(load(text), "vpc.main").tags == {"a": "own", "b": "common", "Name": "shop-main"}
        assert get(load(text), "subnet.a").tags == {**dict.fromkeys("abc", "common"), "Name": "shop-a"}

    def test_permissions(self) -> None:
        """All ports, ranges, prefix lists and other groups, in one order whatever the file's."""
        rules = [
            "{protocol: all, cidr_block: 10.0.0.0/8}",
            "{protocol: udp, from_port: 1, to_port: 9, prefix_list_id: pl-0a1b2c3d}",
            "{protocol: tcp, port: 443, security_group: sg-0a1b2c3d, description: others}",
            "{protocol: icmp, ipv6_cidr_block: '::/0'}",
        ]
        states = [
            declared(get(load(f"{NETWORK}security_groups:\n  web: {{egress: [{', '.join(order)}]}}\n"), address).state)
            for order in (rules, rules[::-1])
            for address in ["security_group_rules.web"]
        ]
        assert states[0] == states[1]
        assert sorted(permission[:4] for permission in states[0]["egress"]) == [
            ("-1", -1, -1, "10.0.0.0/8"),
            ("icmp", -1, -1, "::/0"),
            ("tcp", 443, 443, "sg-0a1b2c3d"),
            ("udp", 1, 9, "pl-0a1b2c3d"),
        ]
        assert "ingress" not in states[0]

    def test_empty_collections_are_managed(self) -> None:
        """`[]` empties what leaving out leaves alone."""
        text = NETWORK + "security_groups:\n  web: {ingress: []}\n  api: {}\nroute_tables:\n  one: {routes: []}\n"
        stack = load(text)
        assert declared(get(stack, "security_group_rules.web").state)["ingress"] == ()
        assert Address("security_group_rules", "api") not in stack.desired
        assert declared(get(stack, "route_table.one").state)["routes"] == ()
        assert "subnets" not in declared(get(stack, "route_table.one").state)

    def test_protection_and_pace(self) -> None:
        text = NETWORK + (
            "instances:\n  web: {%s, prevent_destroy: true, image_update: replace, type_change: in-place,\n"
            "    rollout: {max_surge: 2, max_unavailable: 1, settle: 2m, health_timeout: 1h}}\n"
        )
        lifecycle = get(load(text % self.INSTANCE), "instance.web-1").lifecycle
        assert lifecycle.prevent_destroy is True
        assert (lifecycle.image_update, lifecycle.type_change) == ("replace", "in-place")
        assert lifecycle.rollout == Rollout(max_surge=2, max_unavailable=1, settle=120, health_timeout=3600)

    @pytest.mark.parametrize(
        ("count", "rollout", "surge", "unavailable"),
        [
            (1, "", 1, 0),
            (2, "", 1, 0),
            (4, "", 1, 0),
            (5, "", 2, 0),
            (12, "", 3, 0),
            (100, "", 25, 0),
            (12, "rollout: {settle: 5s}", 3, 0),
            (12, "rollout: {max_surge: 1}", 1, 0),
            (7, "rollout: {max_surge: 29%, max_unavailable: 29%}", 3, 2),  # 2.03: no error of floating point
            (100, "rollout: {max_surge: 7%, max_unavailable: 7%}", 7, 7),
            (3, "rollout: {max_surge: 100%, max_unavailable: 100%}", 3, 3),
            (9, "rollout: {max_surge: 0, max_unavailable: 10%}", 1, 0),  # both 0
            (10, "rollout: {max_surge: 0, max_unavailable: 10%}", 0, 1),
        ],
    )
    def test_shares_of_count(self, count: int, rollout: str, surge: int, unavailable: int) -> None:
        """Rounded as Kubernetes does, up and down."""
        entry = ", ".join(filter(None, (self.INSTANCE, f"count: {count}", rollout)))
        stack = load(NETWORK + f"instances:\n  web: {{{entry}}}\n")
        found = {get(stack, f"instance.web-{number}").lifecycle.rollout for number in (1, count)}
        assert {(item.max_surge, item.max_unavailable) for item in found} == {(surge, unavailable)}

    def test_a_key_that_rollout_does_not_have_is_named(self) -> None:
        entry = f"{self.INSTANCE}, rollout: {{batch: 1}}"
        with pytest.raises(SpecError, match=r'instances\.web\.rollout\.batch: unknown key "batch"'):
            load(NETWORK + f"instances:\n  web: {{{entry}}}\n")

    def test_a_share_of_another_count_is_no_other_spec_of_an_instance(self) -> None:
        entry = f"{self.INSTANCE}, rollout: {{max_unavailable: 50%}}"
        few, many = (
            get(load(NETWORK + f"instances:\n  web: {{{entry}, count: {count}}}\n"), "instance.web-1")
            for count in (4, 40)
        )
        assert few.lifecycle.rollout != many.lifecycle.rollout
        assert (few.spec_digest, few.declared) == (many.spec_digest, many.declared)
