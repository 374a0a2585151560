"""The page as text: what it says, what it escapes, what it links to; browsers look at it in tests/browser."""

import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.queries.changes import Changes, DarkCluster, Mover, RowKey
from oomdb.queries.exports import ClusterCoverage
from oomdb.reports.backups import describe_past_report
from oomdb.reports.content import ReportContent
from oomdb.reports.html_export import find_generated_at, render_html
from oomdb.reports.wishes import ReportWishes, Theme
from oomdb.version import __version__
from tests.reports.contents import AT, FOLDER, NOTHING_CHANGED, RUN, content, point, row

HOSTILE = (
    "</style></script><script>alert('x')</script>\"><img src=x onerror=alert(1)> javascript:alert(1) \u202e\x1b[31m 💥"
)
GOLDEN = Path(__file__).parent.parent / "data" / "exports" / "report.html"

C1 = ClusterCoverage(
    cluster="c1", status="complete", error="", namespaces_scanned=12, pods_seen=1234, gaps=0, new_occurrences=2
)
DOWN = ClusterCoverage(cluster="c2", status="unreachable", error="no answer within 45 s")


def page(told: ReportContent) -> str:
    return render_html(told).decode()


def texts(told: ReportContent) -> str:
    """Return what a reader sees: texts with blanks folded, without style and script."""
    reader = _Texts()
    reader.feed(page(told))
    return re.sub(r"\s+", " ", " ".join(reader.texts))


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._unseen = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._unseen = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._unseen = False

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.texts.append(data)


def tags(told: ReportContent) -> list[tuple[str, dict[str, str | None]]]:
    reader = _Texts()
    reader.feed(page(told))
    return reader.tags


def hrefs(told: ReportContent) -> list[str | None]:
    return [attrs["href"] for tag, attrs in tags(told) if tag == "a"]


def test_a_small_report_is_the_golden_file() -> None:
    told = content(
        row(description_file=f"{FOLDER}/logs_and_description_files/c1/a b.txt"),
        row(pod="shop-2", type=CRASH_LOOP_BACK_OFF, timestamps=("", "2026-03-04T07:00:00Z"), application="shop"),
        clusters=(C1, DOWN),
        points=(
            point(41, {("c1", OOM_KILLED): 2}, statuses={"c1": "complete", "c2": "complete"}, origin="import"),
            point(42, {("c1", OOM_KILLED): 1}, statuses={"c1": "complete", "c2": "unreachable"}),
        ),
        changes=replace(
            NOTHING_CHANGED, dark=(DarkCluster(cluster="c2", last_read_at=AT, status="unreachable", error="no answer"),)
        ),
        past_reports=(describe_past_report("oom_results_03-Mar-2026_14-00-00-UTC.html"),),
    )
    seen = re.sub(r"(?s)(<style>|<script>).*?(</style>|</script>)", r"\1…\2", page(told))
    seen = re.sub(r"sha256-[\w+/=]*", "sha256-…", seen)
    assert seen.replace(f"oomdb {__version__}", "oomdb VERSION") == GOLDEN.read_text(encoding="utf-8")


def test_head_and_figures_tell_team_time_and_run() -> None:
    seen = texts(content(row(), clusters=(C1,), wishes=ReportWishes(team_title="Team <Blue>")))
    assert "Team <Blue> OOM / CrashLoopBackOff Report" in seen
    assert "Generated 2026-03-04 14:00:00 UTC from run 42 of 2026-03-04 14:00:00 UTC." in seen
    for figure in (
        "Clusters read 1 of 1",
        "Pods seen 1,234",
        "OOMKilled rows 1",
        "CrashLoopBackOff rows 0",
        "Occurrences that no earlier run had seen 2",
    ):
        assert figure in seen
    assert "Rows are not occurrences." in seen


def test_headings_have_plot_range_and_the_runs_time() -> None:
    seen = texts(content(clusters=(C1,), points=(point(42),), wishes=ReportWishes(plot_range=timedelta(days=7))))
    assert "OOM & CrashLoopBackOffs - Historical trend (cluster: c1) — Plot range: 7d" in seen
    assert "Clusterwise Summary (2026-03-04 14:00:00 UTC)" in seen
    assert "PODs, Namespaces & Clusters Detailed Findings (2026-03-04 14:00:00 UTC)" in seen


def test_a_cluster_that_was_not_read_is_never_a_zero() -> None:
    seen = texts(content(row(), clusters=(DOWN, C1)))
    assert "c1 1 0 1 complete: 12 namespaces, 1,234 pods" in seen
    assert "c2 not known not known not known unreachable: no answer within 45 s" in seen
    assert "All ≥ 1 ≥ 0 ≥ 1 1 of 2 clusters read" in seen
    assert "OOMKilled rows ≥ 1" in seen


def test_the_summary_has_the_highest_total_first_and_unread_clusters_last() -> None:
    rows = (row(cluster="b"), row(cluster="b", pod="shop-2"), row(cluster="c"))
    clusters = [replace(C1, cluster=name) for name in "abc"]
    seen = texts(content(*rows, clusters=[DOWN, *clusters]))
    places = [seen.index(f" {name} {count} 0 {count} complete") for name, count in (("b", 2), ("c", 1), ("a", 0))]
    assert places == sorted(places)
    assert seen.index("c2 not known") > places[-1]


def test_an_empty_run_says_that_nothing_was_found_and_in_what() -> None:
    assert "Nothing was found." in texts(content(clusters=(C1,)))
    assert "Nothing was found in what could be read." in texts(content(clusters=(C1, DOWN)))


def test_clusters_out_of_sight_and_newer_runs_that_read_nothing_stand_in_the_head() -> None:
    dark = DarkCluster(cluster="c2", last_read_at=AT - timedelta(days=3), status="absent", error="")
    newer = replace(RUN, id=43, status="partial")
    seen = texts(content(changes=replace(NOTHING_CHANGED, dark=(dark,)), newer_unread=newer))
    assert "c2: not seen since 2026-03-01 14:00:00 UTC (absent)" in seen
    assert "Run 43 of 2026-03-04 14:00:00 UTC is newer, but could read no cluster." in seen


def test_what_changed_is_told_in_words() -> None:
    rows = tuple(RowKey(cluster="c1", namespace="shop", pod=f"p{number}", type=OOM_KILLED) for number in range(5))
    before = replace(RUN, id=41, started_at=AT - timedelta(hours=8))
    seen = texts(
        content(
            changes=Changes(
                previous=before,
                appeared=rows,
                gone=rows[:1],
                not_comparable=("c2",),
                partly_comparable=("c3",),
                movers=(Mover(cluster="c1", namespace="shop", now=12, before=3),),
                movers_left=2,
                movers_unknown=("c4",),
                dark=(),
            )
        )
    )
    assert (
        "New: 5 rows (5 OOMKilled) since run 41 (2026-03-04 06:00:00 UTC): shop/p0 on c1, shop/p1 on c1, shop/p2 on c1 "
        "and 2 more." in seen
    )
    assert "Gone: 1 row (1 OOMKilled) since run 41 (2026-03-04 06:00:00 UTC): shop/p0 on c1." in seen
    assert "Worst movers of the week: shop on c1: 12 after 3; and 2 more" in seen
    assert "one week was looked at less than the other: c4." in seen
    assert "Not compared: c2: not read by this run or the one before: none of their rows count as new or gone;" in seen
    assert "c3: compared only where both runs could read." in seen
    assert "Gone dark: no cluster" in seen


def test_the_first_run_is_compared_with_none() -> None:
    assert "New: this is the first run of its scope" in texts(content())


def test_links_are_relative_in_the_folder_and_absolute_outside_only() -> None:
    told = content(
        row(description_file=f"{FOLDER}/logs_and_description_files/c#1/a b?.txt", pod_log_file="/tmp/c1/x<y>.txt"),
        row(description_file=f"{FOLDER}/logs_and_description_files/c1/gone.txt"),
        missing_files=(f"{FOLDER}/logs_and_description_files/c1/gone.txt",),
    )
    assert hrefs(told) == ["logs_and_description_files/c%231/a%20b%3F.txt", "file:///tmp/c1/x%3Cy%3E.txt"]
    assert "missing: the file is gone" in texts(told)


def test_past_reports_are_linked_by_their_names() -> None:
    told = content(
        past_reports=[
            describe_past_report("oom_results_03-Mar-2026_14-00-00-EST.html"),
            describe_past_report('oom_results_a b"<i>.html'),
        ]
    )
    assert hrefs(told) == ["oom_results_03-Mar-2026_14-00-00-EST.html", "oom_results_a%20b%22%3Ci%3E.html"]
    assert "03-Mar-2026 14:00:00 EST Open report" in texts(told)


def test_many_past_reports_are_cut_and_it_is_said() -> None:
    past = [describe_past_report(f"oom_results_{number}.html") for number in range(503)]
    assert "3 older ones lie in the same folder." in texts(content(past_reports=past))


def test_rows_beyond_the_bound_are_counted_and_the_command_that_lists_them_is_named() -> None:
    rows = [row(pod=f"shop-{number}") for number in range(5)]
    told = content(*rows, clusters=(C1,), wishes=ReportWishes(top=2))
    seen = texts(told)
    assert "3 more: oomdb findings --run 42 lists them all; this table holds the first 2." in seen
    assert "shop-1" in seen
    assert "shop-2" not in seen
    assert "OOMKilled rows 5" in seen
    assert "more:" not in texts(content(*rows[:2], wishes=ReportWishes(top=2)))


def test_many_instants_of_a_row_fold_newest_first() -> None:
    stamps = [f"2026-03-04T{hour:02}:00:00Z" for hour in range(6)]
    seen = texts(content(row(timestamps=stamps)))
    assert "2026-03-04 05:00:00 UTC 2026-03-04 04:00:00 UTC" in seen
    assert "2 earlier 2026-03-04 01:00:00 UTC 2026-03-04 00:00:00 UTC" in seen


def test_an_instant_that_is_none_is_shown_as_it_is() -> None:
    assert "not known" in texts(content(row(timestamps=("",))))
    assert "Prometheus-detected" in texts(content(row(timestamps=("Prometheus-detected",))))


def test_no_value_becomes_markup() -> None:
    coverage = ClusterCoverage(cluster=HOSTILE, status="partial", error=HOSTILE, gaps=1)
    key = RowKey(cluster=HOSTILE, namespace=HOSTILE, pod=HOSTILE, type=HOSTILE)
    told = content(
        row(
            cluster=HOSTILE,
            namespace=HOSTILE,
            pod=HOSTILE,
            type=HOSTILE,
            application=HOSTILE,
            component=HOSTILE,
            timestamps=(HOSTILE,),
            sources=(HOSTILE,),
            description_file=f"{FOLDER}/{HOSTILE}",
            pod_log_file=f"/{HOSTILE}",
        ),
        clusters=(coverage,),
        run=replace(RUN, origin="import", scope=HOSTILE, time_range=HOSTILE),
        points=(
            point(41, {(HOSTILE, HOSTILE): 1}, statuses={HOSTILE: "complete"}, version="1"),
            point(42, {(HOSTILE, HOSTILE): 1}, statuses={HOSTILE: "complete", "b": HOSTILE}, version=HOSTILE),
        ),
        changes=Changes(
            previous=None,
            appeared=(key,),
            gone=(key,),
            not_comparable=(HOSTILE,),
            partly_comparable=(HOSTILE,),
            movers=(Mover(cluster=HOSTILE, namespace=HOSTILE, now=2, before=1),),
            movers_left=0,
            movers_unknown=(HOSTILE,),
            dark=(DarkCluster(cluster=HOSTILE, last_read_at=AT, status=HOSTILE, error=HOSTILE),),
        ),
        past_reports=(describe_past_report(f"oom_results_{HOSTILE}.html"),),
        wishes=ReportWishes(team_title=HOSTILE),
    )
    harmless = tags(content(row(), clusters=(C1,), points=(point(42),)))
    found = tags(told)
    assert {tag for tag, _ in found} - {tag for tag, _ in harmless} <= {"a", "g", "circle"}
    assert [tag for tag, _ in found].count("script") == 1
    assert not [name for _, attrs in found for name in attrs if name.startswith("on")]
    assert not [href for href in hrefs(told) if href and not href.startswith(("oom_results", "file:///", "%3C"))]
    assert "\u202e" not in page(told)
    assert "\x1b" not in page(told)


def test_the_pages_policy_lets_its_own_style_and_script_pass_and_nothing_else() -> None:
    text = page(content(row(), wishes=ReportWishes(theme=Theme(css="h1 { color: teal } </style><script>1</script>"))))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    (style,) = re.findall(r"(?s)<style>(.*?)</style>", text)
    (script,) = re.findall(r"(?s)</footer>\s*<script>(.*?)</script>", text)
    assert style.endswith("h1 { color: teal } <\\/style><script>1<\\/script>")
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script)]
    assert policy.replace("&#39;", "'") == (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


@pytest.mark.parametrize("name", ["auto", "light", "dark"])
def test_the_theme_is_named_on_the_page(name: str) -> None:
    told = content(wishes=ReportWishes(theme=Theme(name=name)))  # type: ignore[arg-type]
    assert f'<html lang="en" data-theme="{name}">' in page(told)


def test_charts_need_no_style() -> None:
    told = content(clusters=(C1,), points=(point(41, {("c1", OOM_KILLED): 3}), point(42)))
    drawn = [attrs for tag, attrs in tags(told) if tag in ("path", "circle", "rect", "text", "g")]
    assert not [attrs for attrs in drawn if "style" in attrs]
    assert {"#c9190b", "#0059b3"} <= {attrs.get("stroke") for attrs in drawn}


def test_a_page_tells_when_it_was_made() -> None:
    at = datetime(2026, 3, 4, 15, 30, 1, tzinfo=UTC)
    assert find_generated_at(render_html(content(generated_at=at))) == at
    assert find_generated_at(b"<html>a page of somebody else") is None
    assert find_generated_at(b'<meta name="generated-at" content="2026-99-99T00:00:00Z">') is None


def test_a_known_cluster_that_the_run_did_not_ask_for_stands_in_the_summary_as_not_known() -> None:
    gone = DarkCluster(cluster="c9", last_read_at=AT - timedelta(days=1), status="absent", error="")
    seen = texts(content(row(), clusters=(C1,), changes=replace(NOTHING_CHANGED, dark=(gone,))))
    assert "c9 not known not known not known no part of this run" in seen
    assert "All ≥ 1 ≥ 0 ≥ 1 1 of 2 clusters read" in seen
    assert "Clusters read 1 of 2" in seen


def test_very_many_instants_of_a_row_are_cut_and_the_list_that_has_them_is_named() -> None:
    stamps = [f"2026-03-{day:02}T00:00:00Z" for day in range(1, 31)]
    seen = texts(content(row(timestamps=stamps)))
    assert "and older ones: oomdb occurrences" in seen
    assert "2026-03-11 00:00:00 UTC" in seen
    assert "2026-03-10 00:00:00 UTC" not in seen


def test_a_file_name_that_is_not_utf_8_is_linked_by_its_bytes() -> None:
    told = content(past_reports=[describe_past_report("oom_results_\udcff.html")])
    assert hrefs(told) == ["oom_results_%FF.html"]
