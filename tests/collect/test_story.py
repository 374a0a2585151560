"""Weeks of collects against a story whose truth is known: every kill that could be seen, once, and nothing else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.fleet import tell_fleet
from tests.collect.simulated import running_fleet

UNTIL = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def test_overlapping_collects_count_each_kill_and_each_loop_of_the_story_once(tmp_path: Path) -> None:
    story = tell_fleet(until=UNTIL, days=12)[0]
    moments = [UNTIL - timedelta(hours=8) * number for number in reversed(range(12 * 3))]
    cluster = SimulatedCluster()
    with running_fleet(tmp_path, {"c1": cluster}) as fleet:
        for at in moments:
            cluster.replace(*story.content_at(at))
            fleet.collect(at, artifacts=False)
        kills = fleet.rows("SELECT pod, container, occurred_at FROM occurrences WHERE type = 'OOMKilled'")
        loops = fleet.rows("SELECT pod, container FROM occurrences WHERE type = 'CrashLoopBackOff'")
    truth = story.truth(moments[0] - DAY, UNTIL)
    seen = [
        kill
        for kill in truth.kills
        if any(kill.at <= at < kill.visible_until and at - DAY <= kill.at for at in moments)
    ]
    expected = sorted((kill.pod, kill.container, kill.at) for kill in seen)
    counted = sorted((pod, container, datetime.fromisoformat(at).replace(tzinfo=UTC)) for pod, container, at in kills)
    assert len(expected) > 30
    assert [kill[:2] for kill in counted] == [kill[:2] for kill in expected]
    # a kill that only an event tells of is dated by the restart, a second later
    assert all(one[2] - other[2] <= timedelta(seconds=1) for one, other in zip(counted, expected, strict=True))
    assert sorted(loops) == sorted((loop.pod, loop.container) for loop in truth.loops)
