"""Which namespaces are looked at."""

import re

import pytest

from oomdb.collect.namespaces import EphemeralRules, NamespaceRules, parse_ephemeral_rules, parse_name_filters
from oomdb.errors import SettingsError, UsageError

TYPE = "konflux-ci.dev/namespace-type"
TENANT = {"konflux-ci.dev/type": "tenant"}
UUID = "0b5cf8a4-3e0e-4a6e-9c3e-5a5f0f1b2c3d"


def judge(
    name: str,
    labels: dict[str, str] | None = None,
    *,
    named: bool = False,
    rules: NamespaceRules | None = None,
    unread: bool = False,
) -> str | None:
    return (rules or NamespaceRules()).judge(name, None if unread else labels or {}, named=named)


def filters(*, include: str = "", exclude: str = "") -> NamespaceRules:
    return NamespaceRules(
        include=parse_name_filters("--include-ns", [include]), exclude=parse_name_filters("--exclude-ns", [exclude])
    )


@pytest.mark.parametrize("value", ["eaas", "ephemeral", "test"])
def test_the_label_of_an_ephemeral_namespace_skips_it(value: str) -> None:
    assert judge("anything", {TYPE: value}) == f"label {TYPE}={value}"


@pytest.mark.parametrize("value", ["latest", "testing", "EAAS", "", "test "])
def test_label_values_are_compared_whole(value: str) -> None:
    assert judge("anything", {TYPE: value}) is None


def test_other_labels_say_nothing() -> None:
    assert judge("anything", {"example.com/ephemeral": "eyes-only", "namespace-type": "test"}) is None


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (f"clusters-{UUID}", "name clusters-<uuid>"),
        ("test-a", "name test-*"),
        ("e2e-a", "name e2e-*"),
        ("ephemeral-a", "name ephemeral-*"),
        ("ci-a", "name ci-*"),
        ("pr-12", "name pr-*"),
        ("temp-a", "name temp-*"),
        ("tmp-a", "name tmp-*"),
        ("a-test", "name *-test"),
        ("a-e2e", "name *-e2e"),
        ("a-ephemeral", "name *-ephemeral"),
    ],
)
def test_the_name_of_an_ephemeral_namespace_skips_it(name: str, rule: str) -> None:
    assert judge(name) == rule


@pytest.mark.parametrize(
    "name",
    [
        "clusters-prod",
        f"clusters-{UUID}x",
        f"clusters-{UUID.upper()}",
        f"my-clusters-{UUID}",
        "clusters-0b5cf8a4-3e0e-4a6e-9c3e",
        "testing",
        "contest-a",
        "a-tests",
        "cicd",
        "my-pr-12",
        "production",
        "",
        "a\n-TEST",
    ],
)
def test_names_that_only_resemble_are_looked_at(name: str) -> None:
    assert judge(name) is None


def test_a_tenant_is_spared_by_name_rules_but_not_by_its_own_label() -> None:
    assert judge("ci-tooling-tenant", TENANT) is None
    assert judge("ci-tooling-tenant", {"konflux-ci.dev/type": "tenants"}) == "name ci-*"
    assert judge("ci-tooling-tenant", TENANT | {TYPE: "eaas"}) == f"label {TYPE}=eaas"


def test_a_named_namespace_is_spared_by_name_rules_only() -> None:
    assert judge("test-a", named=True) is None
    assert judge("test-a", {TYPE: "test"}, named=True) == f"label {TYPE}=test"
    assert judge("test-a", named=True, rules=filters(exclude="^test")) == "--exclude-ns"


def test_a_namespace_whose_labels_could_not_be_read_is_spared_by_name_rules() -> None:
    assert judge("test-a", unread=True) is None
    assert judge("test-a", unread=True, rules=filters(include="^prod")) == "--include-ns"


def test_ephemeral_namespaces_can_be_wanted() -> None:
    rules = NamespaceRules(ephemeral=None, exclude=(re.compile("^tmp-"),))
    assert judge("test-a", {TYPE: "eaas"}, rules=rules) is None
    assert judge("tmp-a", rules=rules) == "--exclude-ns"


def test_filters_search_and_any_of_several_is_enough() -> None:
    rules = filters(include="prod,^shop-.*-tenant$", exclude="db")
    assert judge("my-prod-a", rules=rules) is None
    assert judge("shop-a-tenant", rules=rules) is None
    assert judge("shop-a", rules=rules) == "--include-ns"
    assert judge("prod-db", rules=rules) == "--exclude-ns"
    assert judge("db", rules=rules) == "--include-ns"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" , ,", []),
        ("a", ["a"]),
        ("a|b, c", ["a|b", "c"]),
        (r"a{1,3},b", ["a{1,3}", "b"]),
        (r"[a,b]c,d", ["[a,b]c", "d"]),
        (r"[\],]x,d", [r"[\],]x", "d"]),
        (r"a\,b,c", [r"a\,b", "c"]),
        ("[[a],b", ["[[a]", "b"]),
        ("\N{SKULL}", ["\N{SKULL}"]),
    ],
)
def test_expressions_are_separated_by_commas_of_their_own(text: str, expected: list[str]) -> None:
    assert [pattern.pattern for pattern in parse_name_filters("--include-ns", [text])] == expected


def test_an_option_given_twice_adds_up() -> None:
    assert [each.pattern for each in parse_name_filters("--include-ns", ["a,b", "c"])] == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["[", "ok,(", "*a", "a{99999999999999999999}", "(" * 20000, "a\\", "(?P<n>a)(?P<n>b)"])
def test_a_wrong_expression_is_a_usage_error_that_names_the_option(text: str) -> None:
    with pytest.raises(UsageError, match=r"--exclude-ns: .* is not a regular expression") as caught:
        parse_name_filters("--exclude-ns", [text])
    assert len(str(caught.value)) < 500


def test_the_settings_change_the_rules() -> None:
    rules = NamespaceRules(
        ephemeral=parse_ephemeral_rules(
            {
                "label": "example.com/kind",
                "label_values": ["short"],
                "name_patterns": ["scratch-?", "run-<uuid>-*", "v[12]"],
                "permanent_label": "example.com/keep",
                "permanent_values": ["yes"],
            }
        )
    )
    assert judge("a", {"example.com/kind": "short"}, rules=rules) == "label example.com/kind=short"
    assert judge("scratch-1", rules=rules) == "name scratch-?"
    assert judge(f"run-{UUID}-a", rules=rules) == "name run-<uuid>-*"
    assert judge("v2", rules=rules) == "name v[12]"
    assert judge("v2", {"example.com/keep": "yes"}, rules=rules) is None
    assert judge("test-a", {TYPE: "eaas"}, rules=rules) is None


def test_what_the_settings_do_not_say_stays() -> None:
    assert parse_ephemeral_rules({}) == EphemeralRules()
    assert parse_ephemeral_rules({"name_patterns": []}) == EphemeralRules(name_patterns=())


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"labels": "x"}, r"\[ephemeral\] has no key 'labels'; known are label, label_values, name_patterns"),
        ({"label": 3}, r"\[ephemeral\] label is 3, but must be a text"),
        ({"label": ""}, "must be a text"),
        ({"label_values": "eaas"}, r"label_values is 'eaas', but must be a list of texts"),
        ({"name_patterns": [1]}, "must be a list of texts"),
        ({"name_patterns": [""]}, "must be a list of texts"),
    ],
)
def test_wrong_settings_are_refused(table: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        parse_ephemeral_rules(table)
