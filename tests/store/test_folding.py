"""Which sightings are one kill or one loop, within a scan and over scans."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from oomdb.model import Finding, Sighting
from oomdb.store.folding import ContainerKey, FoldedFinding, Occurrence, fold, pod_key
from tests.store.builders import HOSTILE, NOW, ago, finding, kill, kill_event, loop, loop_event


class Memory:
    """Looks at one cluster again and again, and remembers as the database does."""

    def __init__(self, cluster: str = "prod-a") -> None:
        self.cluster = cluster
        self.stored: dict[ContainerKey, dict[str, Occurrence]] = defaultdict(dict)

    def look(self, *sightings: Sighting, at: datetime = NOW) -> FoldedFinding:
        """Fold one finding of the usual container."""
        (folded,) = self.look_at(finding(*sightings), at=at)
        return folded

    def look_at(self, *findings: Finding, at: datetime = NOW) -> list[FoldedFinding]:
        """Fold findings and remember what became of them."""
        stored = {key: tuple(known.values()) for key, known in self.stored.items()}
        folded = fold(self.cluster, findings, stored, seen_at=at)
        for item in folded:
            known = self.stored[pod_key(self.cluster, item.finding), item.finding.container]
            known.update({it.identity: it for it in (*item.known, *item.new)})
        return folded

    def occurrences(self) -> list[Occurrence]:
        """Return everything that is remembered, in order."""
        found = [it for known in self.stored.values() for it in known.values()]
        return sorted(found, key=lambda it: it.occurred_at)


# --- kills ----------------------------------------------------------------------------------------------------------


def test_a_kill_seen_by_two_scans_is_one() -> None:
    memory = Memory()
    first = memory.look(kill(ago(hours=1)), at=ago(minutes=50))
    second = memory.look(kill(ago(hours=1)), at=NOW)
    assert [it.occurred_at for it in first.new] == [ago(hours=1)]
    assert second.new == ()
    assert [it.identity for it in second.known] == [it.identity for it in first.new]


def test_a_kill_that_moves_from_state_to_last_state_is_one_within_a_scan_and_over_two() -> None:
    memory = Memory()
    folded = memory.look(kill(ago(hours=1)), kill(ago(hours=1)))
    assert len(folded.new) == 1
    assert memory.look(kill(ago(hours=1), restart_count=2)).new == ()
    assert [it.restart_count for it in memory.occurrences()] == [2]


def test_two_container_ids_are_two_kills_even_in_one_second() -> None:
    folded = Memory().look(kill(ago(hours=1), container_id="cri-o://a"), kill(ago(hours=1), container_id="cri-o://b"))
    assert len(folded.new) == 2


def test_without_a_container_id_a_kill_is_known_by_its_instant() -> None:
    memory = Memory()
    memory.look(kill(ago(hours=2), container_id=""))
    assert memory.look(kill(ago(hours=2), container_id="")).new == ()
    assert len(memory.look(kill(ago(hours=1), container_id="")).new) == 1


def test_fractions_of_a_second_do_not_make_a_kill_another_one() -> None:
    memory = Memory()
    memory.look(kill(ago(hours=2, microseconds=-400_000), container_id=""))
    assert memory.look(kill(ago(hours=2), container_id="")).new == ()


@pytest.mark.parametrize("other", [{"pod_uid": "uid-2"}, {"container": "sidecar"}])
def test_another_pod_of_the_same_name_or_another_container_has_kills_of_its_own(other: dict[str, str]) -> None:
    memory = Memory()
    memory.look_at(finding(kill(ago(hours=1), container_id="")))
    (folded,) = memory.look_at(finding(kill(ago(hours=1), container_id=""), **other))  # type: ignore[arg-type]
    assert len(folded.new) == 1


def test_without_a_uid_the_cluster_the_namespace_and_the_name_stand_for_the_pod() -> None:
    nameless = finding(kill(ago(hours=1)), pod_uid="")
    memory = Memory()
    memory.look_at(nameless)
    (again,) = memory.look_at(nameless)
    (elsewhere,) = fold("prod-b", [nameless], {}, seen_at=NOW)
    assert again.new == ()
    assert elsewhere.new[0].identity != again.known[0].identity


def test_an_identity_holds_no_cluster_where_the_pod_has_a_uid() -> None:
    one, other = Memory("old-name"), Memory("new-name")
    assert one.look(kill(ago(hours=1))).new[0].identity == other.look(kill(ago(hours=1))).new[0].identity


def test_an_exit_code_of_zero_is_kept_and_a_missing_one_does_not_wipe_it_out() -> None:
    memory = Memory()
    memory.look(kill(ago(hours=1), exit_code=0))
    memory.look(kill(ago(hours=1), exit_code=None, restart_count=None))
    (stored,) = memory.occurrences()
    assert (stored.exit_code, stored.restart_count) == (0, 1)


# --- kills and the events of add-ons --------------------------------------------------------------------------------


def test_an_event_within_six_minutes_after_a_kill_is_evidence_of_it() -> None:
    folded = Memory().look(kill_event(ago(minutes=54)), kill(ago(minutes=60)))
    assert [(it.time_quality, it.occurred_at) for it in folded.new] == [("exact", ago(minutes=60))]
    assert folded.instants == (ago(minutes=60),)


def test_an_event_more_than_six_minutes_after_a_kill_is_a_kill_of_its_own() -> None:
    folded = Memory().look(kill_event(ago(minutes=54, seconds=-1)), kill(ago(minutes=60)))
    assert len(folded.new) == 2


def test_an_event_before_a_kill_is_a_kill_of_its_own() -> None:
    folded = Memory().look(kill_event(ago(minutes=61)), kill(ago(minutes=60)))
    assert [it.time_quality for it in sorted(folded.new, key=lambda it: it.occurred_at)] == ["event", "exact"]


def test_an_event_that_comes_in_a_later_scan_than_its_kill_is_evidence() -> None:
    memory = Memory()
    memory.look(kill(ago(minutes=60)))
    assert memory.look(kill_event(ago(minutes=59))).new == ()
    assert len(memory.occurrences()) == 1


def test_a_kill_that_shows_in_a_later_scan_than_its_event_is_one_and_brings_its_facts() -> None:
    memory = Memory()
    memory.look(kill_event(ago(minutes=59)))
    folded = memory.look(kill(ago(minutes=60)), kill_event(ago(minutes=59)))
    assert folded.new == ()
    (stored,) = memory.occurrences()
    assert (stored.occurred_at, stored.container_id, stored.exit_code) == (ago(minutes=59), "cri-o://a", 137)


def test_a_kill_that_an_event_had_told_of_stays_one_in_every_later_scan() -> None:
    memory = Memory()
    memory.look(kill_event(ago(minutes=59)))
    for _ in range(3):
        assert memory.look(kill(ago(minutes=60))).new == ()
    assert memory.look(kill(ago(minutes=60)), kill_event(ago(minutes=59))).new == ()


def test_the_id_in_an_event_is_not_that_of_the_killed_container() -> None:
    memory = Memory()
    memory.look(kill_event(ago(minutes=59), next_id="cri-o://b"))
    # the container that was started then is killed in its turn, half an hour later
    folded = memory.look(kill(ago(minutes=29), container_id="cri-o://b"))
    assert len(folded.new) == 1


def test_of_two_kills_an_event_tells_of_the_later_one_before_it() -> None:
    memory = Memory()
    memory.look(kill(ago(minutes=60), container_id="cri-o://a"))
    folded = memory.look(kill(ago(minutes=57), container_id="cri-o://b"), kill_event(ago(minutes=56), next_id="c"))
    assert len(folded.new) == 1
    assert len(memory.occurrences()) == 2


def test_two_kills_and_both_their_events_in_one_scan_are_two() -> None:
    folded = Memory().look(
        kill_event(ago(minutes=59), next_id="cri-o://b"),
        kill_event(ago(minutes=39), next_id="cri-o://c"),
        kill(ago(minutes=60), container_id="cri-o://a"),
        kill(ago(minutes=40), container_id="cri-o://b"),
    )
    assert [it.occurred_at for it in folded.new] == [ago(minutes=60), ago(minutes=40)]


def test_an_event_that_is_sent_again_is_one_kill() -> None:
    memory = Memory()
    memory.look(kill_event(ago(hours=5)), kill_event(ago(hours=5)))
    memory.look(kill_event(ago(hours=1), first_at=ago(hours=5)))
    assert len(memory.occurrences()) == 1


def test_an_event_without_an_id_is_known_by_its_first_time() -> None:
    memory = Memory()
    memory.look(kill_event(ago(hours=5), next_id=""))
    assert memory.look(kill_event(ago(hours=1), next_id="", first_at=ago(hours=5))).new == ()
    assert len(memory.look(kill_event(ago(hours=1), next_id="")).new) == 1


def test_two_events_with_two_ids_are_two_kills_where_no_status_shows_one() -> None:
    folded = Memory().look(kill_event(ago(minutes=9), next_id="b"), kill_event(ago(minutes=8), next_id="c"))
    assert len(folded.new) == 2


@pytest.mark.parametrize("year", [1, 1969, 9999])
def test_an_event_whose_sender_made_up_its_first_time_breaks_nothing(year: int) -> None:
    made_up = datetime(year, 12 if year > 1 else 1, 31, 23, 59, 59, tzinfo=UTC)
    folded = Memory().look(kill(ago(hours=1)), kill_event(ago(minutes=59), first_at=made_up))
    assert len(folded.new) == 2
    assert len(Memory().look(loop_event(ago(minutes=5), first_at=made_up)).new) == 1


def test_findings_of_two_pods_that_claim_one_uid_share_their_occurrences() -> None:
    for sighting in (loop_event(ago(minutes=5)), kill_event(ago(minutes=9))):
        one = finding(sighting, pod="honest")
        other = finding(sighting, pod="claims-the-same-uid")
        first, second = Memory().look_at(one, other)
        assert second.new == ()
        assert second.known == first.new


def test_an_event_of_another_namespace_cannot_claim_a_pods_uid() -> None:
    one = finding(loop_event(ago(minutes=5)), namespace="honest")
    other = finding(loop_event(ago(minutes=5)), namespace="claims-the-same-uid")
    first, second = Memory().look_at(one, other)
    assert len(first.new) == len(second.new) == 1
    assert first.new[0].identity != second.new[0].identity


# --- loops ----------------------------------------------------------------------------------------------------------


def test_a_loop_is_dated_by_its_first_sighting_whatever_comes_later() -> None:
    memory = Memory()
    memory.look(loop(ago(minutes=62), restarts=10), at=ago(minutes=60))
    memory.look(loop(ago(minutes=31), restarts=14), at=ago(minutes=30))
    folded = memory.look(loop(ago(minutes=1), restarts=18), at=NOW)
    assert folded.new == ()
    (stored,) = memory.occurrences()
    assert (stored.occurred_at, stored.last_seen_at, stored.restart_count) == (ago(minutes=62), NOW, 18)


def test_a_loop_that_waits_now_lasts_until_the_look() -> None:
    (stored,) = Memory().look(loop(ago(minutes=4))).new
    assert (stored.occurred_at, stored.last_seen_at) == (ago(minutes=4), NOW)


def test_a_loop_that_is_over_lasts_until_its_last_termination() -> None:
    (stored,) = Memory().look(loop(ago(minutes=40), waits=False)).new
    assert (stored.occurred_at, stored.last_seen_at) == (ago(minutes=40), ago(minutes=40))


@pytest.mark.parametrize(
    ("minutes", "restarts", "continues"),
    [(19, 0, True), (20, 0, False), (20, 1, True), (59, 2, True), (60, 2, False), (60, 3, True), (600, 29, False)],
)
def test_a_loop_continues_where_a_restart_came_every_twenty_minutes(
    minutes: int, restarts: int, continues: bool
) -> None:
    memory = Memory()
    memory.look(loop(ago(minutes=minutes + 5), restarts=10), at=ago(minutes=minutes))
    # a container that stopped after the first look, so that the evidence is not the old one
    folded = memory.look(loop(ago(seconds=30), restarts=10 + restarts), at=NOW)
    assert (folded.new == ()) is continues
    assert len(memory.occurrences()) == (1 if continues else 2)


def test_restarts_that_fell_are_a_reset_and_begin_a_new_loop() -> None:
    memory = Memory()
    memory.look(loop(ago(minutes=12), restarts=50), at=ago(minutes=10))
    assert len(memory.look(loop(ago(minutes=1), restarts=3)).new) == 1


def test_a_loop_whose_evidence_stands_unchanged_for_hours_is_one() -> None:
    memory = Memory()
    memory.look(loop(ago(hours=9), restarts=10), at=ago(hours=8, minutes=55))
    folded = memory.look(loop(ago(hours=9), restarts=10), at=NOW)
    assert folded.new == ()
    assert memory.occurrences()[0].last_seen_at == NOW


def test_old_evidence_of_a_loop_that_recovered_is_that_loop_and_does_not_prolong_it() -> None:
    memory = Memory()
    memory.look(loop(ago(hours=5, minutes=5), restarts=10), at=ago(hours=5))
    folded = memory.look(loop(ago(hours=5, minutes=1), restarts=11, waits=False), at=NOW)
    assert folded.new == ()
    assert memory.occurrences()[0].last_seen_at == ago(hours=5)


def test_a_look_that_is_recorded_late_does_not_shorten_a_loop() -> None:
    memory = Memory()
    memory.look(loop(ago(minutes=3), restarts=10), at=NOW)
    assert memory.look(loop(ago(minutes=33), restarts=4), at=ago(minutes=30)).new == ()
    (stored,) = memory.occurrences()
    assert (stored.last_seen_at, stored.restart_count) == (NOW, 10)


def test_a_look_under_a_clock_that_was_set_back_does_not_end_before_it_begins() -> None:
    (stored,) = Memory().look(loop(ago(minutes=1)), at=ago(hours=3)).new
    assert stored.last_seen_at == stored.occurred_at == ago(minutes=1)


def test_status_beats_event_within_one_scan() -> None:
    folded = Memory().look(loop_event(ago(minutes=1), first_at=ago(hours=2)), loop(ago(minutes=4)))
    (stored,) = folded.new
    assert (stored.occurred_at, stored.time_quality) == (ago(minutes=4), "exact")
    assert folded.instants == (ago(minutes=4), ago(minutes=1))


def test_a_loop_that_waits_beats_the_trace_of_one() -> None:
    (stored,) = Memory().look(loop(ago(minutes=30), waits=False), loop(ago(minutes=4))).new
    assert stored.occurred_at == ago(minutes=4)


@pytest.mark.parametrize(("minutes", "continues"), [(20, True), (21, False)])
def test_events_alone_continue_a_loop_over_a_gap_of_twenty_minutes(minutes: int, continues: bool) -> None:
    memory = Memory()
    memory.look(loop_event(ago(minutes=minutes)), at=ago(minutes=minutes))
    assert (memory.look(loop_event(NOW)).new == ()) is continues


def test_an_event_that_began_before_the_loop_was_last_seen_continues_it_however_late_it_is() -> None:
    memory = Memory()
    memory.look(loop_event(ago(hours=4), first_at=ago(hours=5)), at=ago(hours=4))
    assert memory.look(loop_event(NOW, first_at=ago(hours=5))).new == ()
    assert memory.occurrences()[0].last_seen_at == NOW


def test_a_status_without_restarts_to_compare_continues_what_events_told_of() -> None:
    memory = Memory()
    memory.look(loop_event(ago(minutes=10)), at=ago(minutes=10))
    assert memory.look(loop(ago(minutes=1), restarts=7)).new == ()
    assert memory.occurrences()[0].restart_count == 7


def test_a_new_loop_follows_the_last_one_not_the_first() -> None:
    memory = Memory()
    memory.look(loop(ago(hours=9), restarts=10), at=ago(hours=9))
    memory.look(loop(ago(hours=3), restarts=12), at=ago(hours=3))
    folded = memory.look(loop(ago(minutes=5), restarts=30), at=NOW)
    assert [it.occurred_at for it in folded.known] == [ago(hours=3)]
    assert [it.occurred_at for it in memory.occurrences()] == [ago(hours=9), ago(hours=3)]


def test_kills_and_loops_of_one_container_do_not_fold_with_each_other() -> None:
    memory = Memory()
    folded = memory.look_at(finding(kill(ago(minutes=5))), finding(loop(ago(minutes=5))))
    assert [len(item.new) for item in folded] == [1, 1]
    assert [it.is_loop for it in memory.occurrences()].count(True) == 1


# --- names ----------------------------------------------------------------------------------------------------------


def test_a_finding_without_any_instant_has_no_occurrence() -> None:
    (folded,) = Memory().look_at(finding())
    assert (folded.new, folded.known, folded.instants) == ((), (), ())


def test_hostile_names_fold_like_others() -> None:
    memory = Memory(HOSTILE)
    hostile = finding(
        kill(ago(hours=1), container_id=HOSTILE), namespace=HOSTILE, pod=HOSTILE, pod_uid=HOSTILE, container=HOSTILE
    )
    memory.look_at(hostile)
    assert memory.look_at(hostile)[0].new == ()


def test_names_that_read_the_same_side_by_side_are_not_taken_for_each_other() -> None:
    one = finding(kill(ago(hours=1)), pod_uid="a", container="bc")
    other = finding(kill(ago(hours=1)), pod_uid="ab", container="c")
    first, second = Memory().look_at(one, other)
    assert first.new[0].identity != second.new[0].identity


def test_an_instant_without_a_zone_is_refused() -> None:
    naive = (NOW - timedelta(hours=1)).replace(tzinfo=None)
    with pytest.raises(ValueError, match="without a zone"):
        Memory().look(kill(naive))
