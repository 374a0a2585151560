"""The formats against a run that the legacy script exported, and against values that would break them."""

import csv
import io
import json
from pathlib import Path

from oomdb.queries.exports import ClusterCoverage
from oomdb.reports.content import ReportContent, ReportRow
from oomdb.reports.csv_export import render_csv
from oomdb.reports.json_export import render_json
from oomdb.reports.table_export import render_table
from oomdb.table import unguard_cell
from tests.reports.contents import content, row

LEGACY = Path(__file__).parent.parent / "data" / "exports"


def legacy_content() -> ReportContent:
    text = (LEGACY / "oom_results.csv").read_bytes().decode()
    rows = []
    for cells in csv.DictReader(io.StringIO(text, newline="")):
        cells.pop("time_range")
        timestamps, sources = cells.pop("timestamps").split(";"), cells.pop("sources").split(";")
        rows.append(ReportRow(**cells, timestamps=tuple(timestamps), sources=tuple(sources)))
    clusters = json.loads((LEGACY / "oom_results.json").read_bytes())
    covered = [ClusterCoverage(cluster=name, status="complete", error="") for name in clusters if name != "_metadata"]
    return content(*rows, clusters=tuple(covered))


def test_the_csv_is_the_legacy_scripts_to_the_byte() -> None:
    assert render_csv(legacy_content()) == (LEGACY / "oom_results.csv").read_bytes()


def test_the_table_is_the_legacy_scripts_to_the_byte() -> None:
    assert render_table(legacy_content()) == (LEGACY / "oom_results.table").read_bytes()


def test_the_json_has_what_the_legacy_script_wrote_and_more_in_its_metadata() -> None:
    ours = json.loads(render_json(legacy_content()))
    theirs = json.loads((LEGACY / "oom_results.json").read_bytes())
    assert list(ours)[-1] == "_metadata"
    assert ours.pop("_metadata").items() >= theirs.pop("_metadata").items()
    for pods in (pod for namespaces in theirs.values() for pod in namespaces.values()):
        for pod in pods.values():
            if not pod["crash_timestamps"] and not pod["oom_timestamps"]:
                pod["crash_timestamps"] = [""]  # the CSV's one row with a blank time
    assert ours == theirs


def test_an_empty_run_has_a_header_a_grid_and_the_clusters_that_were_read() -> None:
    empty = content(
        clusters=(
            ClusterCoverage(cluster="c1", status="complete", error=""),
            ClusterCoverage(cluster="c2", status="unreachable", error="connection refused"),
        )
    )
    assert render_csv(empty) == (
        b"cluster,namespace,pod,type,application,component,timestamps,sources,description_file,pod_log_file,time_range\r\n"
    )
    lines = render_table(empty).decode().split("\n")
    assert len(lines) == 4
    assert lines[0] == lines[2] == lines[3] == "-" * len(lines[1])
    document = json.loads(render_json(empty))
    assert document["c1"] == {}
    assert "c2" not in document
    assert document["_metadata"]["clusters"]["c2"] == {"status": "unreachable", "error": "connection refused"}


def test_cells_that_a_spreadsheet_would_run_are_guarded_and_come_back() -> None:
    hostile = ['=HYPERLINK("http://x")', "+1", "-1", "@sum", "\t=1", "'=1", "plain", 'kind-dev, "scratch"', "a\nb"]
    text = render_csv(content(*(row(application=cell) for cell in hostile))).decode()
    cells = [line["application"] for line in csv.DictReader(io.StringIO(text, newline=""))]
    assert cells[:2] == ['\'=HYPERLINK("http://x")', "'+1"]
    assert [unguard_cell(cell) for cell in cells] == hostile


def test_no_value_breaks_the_grid() -> None:
    text = render_table(content(row(pod="a\nb|c\x1b[31m"), row(pod="<script>"))).decode()
    lines = text.split("\n")
    assert len(lines) == 6
    assert len({len(line) for line in lines}) == 1
    assert r"a\nb\|c\x1b[31m" in text


def test_a_cluster_called_like_the_metadata_stays_beside_it() -> None:
    clusters = (ClusterCoverage(cluster="_metadata", status="complete", error=""),)
    document = json.loads(render_json(content(row(cluster="_metadata"), clusters=clusters)))
    assert document["_metadata_"]["shop-tenant"]["shop-1"]["oom_timestamps"] == ["2026-03-04T06:17:44Z"]
    assert document["_metadata"]["run"] == 42


def test_types_of_plug_ins_have_a_list_of_their_own() -> None:
    document = json.loads(render_json(content(row(type="Evicted"))))
    assert document["c1"]["shop-tenant"]["shop-1"]["other_timestamps"] == {"Evicted": ["2026-03-04T06:17:44Z"]}
