"""Whose a namespace is, by the rules of CODEOWNERS as GitLab reads them."""

import os
from pathlib import Path

import pytest

from oomdb.errors import OwnersError
from oomdb.owners.codeowners import load_codeowners
from tests.owners.checkouts import write_codeowners

SHOP = "/tenants-config/cluster/prod-a/tenants/shop/"


def owners(tmp_path: Path, rules: str, *, staging: str | None = None) -> tuple[str, ...]:
    """Return the owners of the namespace shop of cluster prod-a."""
    return load_codeowners(write_codeowners(tmp_path / "checkout", rules, staging=staging)).owners_of("prod-a", "shop")


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "**",
        SHOP,
        SHOP.removesuffix("/"),
        SHOP.removeprefix("/"),
        SHOP.strip("/"),
        f"{SHOP}*",
        f"{SHOP}**",
        "/tenants-config/",
        "/tenants-config/cluster/prod-a/",
        "/tenants-config/cluster/*/tenants/shop/",
        "/tenants-config/cluster/prod-?/tenants/sh*/",
        "/tenants-config/cluster/prod-[ab]/tenants/shop/",
        "/tenants-config/**/shop/",
        "**/shop/",
        "shop/",
        "tenants/shop",
        "cluster/prod-a/tenants/shop/",
        "/cluster/prod-a/tenants/shop/",
        "/tenants-config/cluster/prod-a/shop/",
        "/staging/tenants-config/cluster/prod-a/tenants/shop/",
    ],
)
def test_a_rule_that_covers_the_folder_of_the_namespace_names_its_owner(tmp_path: Path, pattern: str) -> None:
    assert owners(tmp_path, f"{pattern} @jdoe\n") == ("@jdoe",)


@pytest.mark.parametrize(
    "pattern",
    [
        "/tenants-config/cluster/prod-a/tenants/sho/",
        "/tenants-config/cluster/prod-a/tenants/shop-2/",
        "/tenants-config/cluster/prod-a/tenants/my-shop/",
        "/tenants-config/cluster/prod-b/tenants/shop/",
        "/tenants-config/cluster/prod-a/tenants/shop/overlay/",
        "/tenants-config/cluster/prod-a/tenants/shop.yaml",
        "/tenants-config/*",
        "/tenants/shop/",
        "/shop/",
        "*.yaml",
        f"#{SHOP}",
        f"# {SHOP}",
        f"\\{SHOP}x",
    ],
)
def test_a_rule_that_covers_another_folder_names_nobody(tmp_path: Path, pattern: str) -> None:
    assert owners(tmp_path, f"{pattern} @jdoe\n") == ()


def test_the_last_rule_that_matches_counts_not_the_longest(tmp_path: Path) -> None:
    assert owners(tmp_path, f"{SHOP} @first\n/tenants-config/ @last\n/config/ @other\n") == ("@last",)


def test_all_owners_of_a_rule_are_told_in_its_order_each_once(tmp_path: Path) -> None:
    rules = f"{SHOP}\t@zoe  @team/sub-team jane@example.com @@maintainer @zoe no-owner # and @amy\n"
    assert owners(tmp_path, rules) == ("@zoe", "@team/sub-team", "jane@example.com", "@@maintainer", "@amy")


def test_a_rule_without_owners_takes_them_away(tmp_path: Path) -> None:
    assert owners(tmp_path, f"* @admins\n{SHOP}\n") == ()


def test_an_exclusion_takes_owners_away(tmp_path: Path) -> None:
    assert owners(tmp_path, f"[Tenants] @tenants\n* @admins\n!{SHOP}\n") == ()


@pytest.mark.parametrize(
    "header", ["[Shops] @default", "^[Shops] @default", "[Shops][2] @default", "[My shops] @default"]
)
def test_rules_of_a_section_inherit_its_owners_where_they_name_none(tmp_path: Path, header: str) -> None:
    assert owners(tmp_path, f"{header}\n{SHOP}\n") == ("@default",)
    (tmp_path / "checkout" / "CODEOWNERS").unlink()
    assert owners(tmp_path, f"{header}\n{SHOP} @jdoe\n") == ("@jdoe",)
    (tmp_path / "checkout" / "CODEOWNERS").unlink()
    assert owners(tmp_path, f"{header}\n[Others]\n{SHOP}\n") == ()


def test_owners_of_all_sections_that_match_are_told(tmp_path: Path) -> None:
    rules = (
        f"* @admins\n[Tenants]\n/tenants-config/ @first\n{SHOP} @jdoe\n^[Docs][2]\n*.md @docs\n[Shops]\nshop/ @shops\n"
    )
    assert owners(tmp_path, rules) == ("@admins", "@jdoe", "@shops")


def test_a_rule_without_owners_takes_away_those_of_its_section_alone(tmp_path: Path) -> None:
    rules = f"[Tenants]\n{SHOP} @jdoe\n[Shops]\nshop/ @shops\n{SHOP}\n[Others] @others\n!{SHOP}\n"
    assert owners(tmp_path, rules) == ("@jdoe",)


def test_sections_of_one_name_are_one_however_its_case(tmp_path: Path) -> None:
    rules = f"[Shop team] @one\n{SHOP}\n[Others]\n*.md @docs\n[SHOP TEAM] @two\n{SHOP}\n"
    assert owners(tmp_path, rules) == ("@two",)


@pytest.mark.parametrize("pattern", ["shop/", "tenants/shop/", "cluster/prod-a/tenants/shop/"])
def test_a_rule_for_any_depth_does_not_come_before_a_later_one_for_the_whole_path(tmp_path: Path, pattern: str) -> None:
    assert owners(tmp_path, f"{pattern} @team\n/tenants-config/ @admins\n") == ("@admins",)


@pytest.mark.parametrize("path", ["/cluster/prod-a/tenants/shop/", "/tenants-config/cluster/prod-a/shop/"])
def test_the_last_rule_counts_whichever_spelling_it_matches(tmp_path: Path, path: str) -> None:
    assert owners(tmp_path, f"{path} @jdoe\n/tenants-config/cluster/prod-b/ @b\n") == ("@jdoe",)
    (tmp_path / "checkout" / "CODEOWNERS").unlink()
    assert owners(tmp_path, f"{path} @jdoe\n/tenants-config/ @admins\n") == ("@admins",)
    assert owners(tmp_path, f"* @admins\n{path} @jdoe\n") == ("@jdoe",)


def test_a_rule_of_staging_comes_before_one_for_any_namespace(tmp_path: Path) -> None:
    assert owners(tmp_path, f"* @admins\n/staging{SHOP} @stg\n") == ("@stg",)


def test_blanks_in_a_pattern_are_escaped(tmp_path: Path) -> None:
    rules = "/tenants-config/cluster/my\\ cluster/tenants/shop/ @jdoe\n"
    codeowners = load_codeowners(write_codeowners(tmp_path / "checkout", rules))
    assert codeowners.owners_of("my cluster", "shop") == ("@jdoe",)
    assert codeowners.owners_of("my", "shop") == ()


def test_a_pattern_may_begin_with_an_escaped_hash(tmp_path: Path) -> None:
    codeowners = load_codeowners(write_codeowners(tmp_path / "checkout", "\\#shop/ @jdoe\n"))
    assert codeowners.owners_of("prod-a", "#shop") == ("@jdoe",)


@pytest.mark.parametrize(
    "rules", [f"\ufeff{SHOP} @jdoe", f"{SHOP} @jdoe\r\n", f"  {SHOP} @jdoe  \n", f"\n\n{SHOP} @jdoe"]
)
def test_marks_of_bytes_line_ends_and_blanks_do_not_matter(tmp_path: Path, rules: str) -> None:
    assert owners(tmp_path, rules) == ("@jdoe",)


def test_staging_owners_come_from_its_own_file_although_the_first_has_owners_for_all(tmp_path: Path) -> None:
    assert owners(tmp_path, "* @admins\n", staging=f"{SHOP} @stg\n") == ("@stg",)


def test_the_first_file_goes_before_staging(tmp_path: Path) -> None:
    assert owners(tmp_path, f"{SHOP} @jdoe\n", staging=f"{SHOP} @stg\n") == ("@jdoe",)


def test_owners_of_all_of_staging_do_not_take_over_another_cluster(tmp_path: Path) -> None:
    assert owners(tmp_path, f"{SHOP} @jdoe\n/staging/ @stg-admins\n", staging="* @all\n") == ("@jdoe",)


def test_owners_for_all_are_told_where_no_rule_is_about_the_namespace(tmp_path: Path) -> None:
    assert owners(tmp_path, "* @admins\n", staging="* @stg-admins\n") == ("@admins",)


def test_staging_alone_is_enough(tmp_path: Path) -> None:
    folder = write_codeowners(tmp_path / "checkout", "", staging="/staging/tenants-config/cluster/s/tenants/t/ @stg\n")
    (folder / "CODEOWNERS").unlink()
    assert load_codeowners(folder).owners_of("s", "t") == ("@stg",)


def test_lines_that_are_no_rules_are_named_and_the_others_hold(tmp_path: Path) -> None:
    codeowners = load_codeowners(write_codeowners(tmp_path, f"/a[b @x\n/c[d\x1b @y\n{SHOP} @jdoe\n"))
    assert codeowners.owners_of("prod-a", "shop") == ("@jdoe",)
    assert codeowners.ignored == (
        "CODEOWNERS: no rule can be made of '/a[b @x'; left out",
        "CODEOWNERS: no rule can be made of '/c[d\\x1b @y'; left out",
    )


@pytest.mark.parametrize("name", ["", "..", "a/../../b", "x\ny", "\x00", "💥", "'; DROP TABLE", "[", "*", "a b\\"])
def test_hostile_names_are_names_that_no_rule_is_about(tmp_path: Path, name: str) -> None:
    codeowners = load_codeowners(write_codeowners(tmp_path, f"{SHOP} @jdoe\n"))
    assert codeowners.owners_of(name, name) == ()


def test_a_folder_without_the_files_is_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(OwnersError, match="has neither CODEOWNERS nor staging/CODEOWNERS; give --codeowners-dir"):
        load_codeowners(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "file", "line\nend"])
def test_what_is_no_folder_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OwnersError, match="is not a folder; give --codeowners-dir a checkout") as caught:
        load_codeowners(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_link_out_of_the_checkout_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SHOP} @jdoe\n")
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "CODEOWNERS").symlink_to(tmp_path / "secret")
    with pytest.raises(OwnersError, match="leads out of the checkout"):
        load_codeowners(tmp_path / "checkout")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "CODEOWNERS")
    with pytest.raises(OwnersError, match="has neither"):
        load_codeowners(tmp_path)


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "CODEOWNERS").open("wb") as stream:
        stream.truncate((16 << 20) + 1)
    with pytest.raises(OwnersError, match="larger than 16 MiB; this is no CODEOWNERS file"):
        load_codeowners(tmp_path)


def test_bytes_that_are_no_text_leave_the_rules_around_them(tmp_path: Path) -> None:
    (tmp_path / "CODEOWNERS").write_bytes(b"\xff\xfe\x00 @x\n" + f"{SHOP} @jdoe\n".encode())
    assert load_codeowners(tmp_path).owners_of("prod-a", "shop") == ("@jdoe",)
