"""Which nodes stopped when, so that a reboot's pauses are not taken for crash loops."""

from array import array
from datetime import datetime, timedelta

from oomdb.detectors.evidence import find_known_instant
from oomdb.model import Pod

SAME_MINUTE = timedelta(seconds=60)  # less than this apart, wherever the clock's minute changes

_FEWEST_PODS = 5
_FINISHED_PHASES = ("Succeeded", "Failed")


class NodeStops:
    """Counts the pods of each node, and when their containers stopped, while pages of pods go by.

    Counted are pods that have not finished (those of ended jobs have nothing to come back to), and of them the last
    termination before the present state of each container. What is kept is 16 bytes a stop, no pod.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}

    def count(self, pod: Pod) -> None:
        """Note one listed pod, once for each pod of the list."""
        name = pod.spec.node_name
        if not name or pod.status.phase in _FINISHED_PHASES:
            return
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = _Node()
        node.pod_count += 1
        for status in pod.container_statuses():
            last = status.last_state.terminated
            if last is not None and (at := find_known_instant(last.finished_at)) is not None:
                node.stop_seconds.append(int(at.timestamp()))
                node.stop_pods.append(node.pod_count)

    def clear(self) -> None:
        """Forget everything: the list is read again from its start."""
        self._nodes.clear()

    def explains(self, node: str, at: datetime) -> bool:
        """Tell, after the last page, whether the node stopped at `at`.

        It did where five pods or more, and a third or more of the node's pods, stopped less than a minute from then
        (the pod that is judged among them). A node without a name explains nothing.
        """
        counted = self._nodes.get(node)
        if counted is None:
            return False
        second, reach = int(at.timestamp()), int(SAME_MINUTE.total_seconds())
        stops = zip(counted.stop_seconds, counted.stop_pods, strict=True)
        stopped = len({pod for stop_second, pod in stops if abs(stop_second - second) < reach})
        return stopped >= _FEWEST_PODS and stopped * 3 >= counted.pod_count


class _Node:
    """One node's pods, numbered as they came, and the stops of their containers in two parallel arrays."""

    __slots__ = ("pod_count", "stop_pods", "stop_seconds")

    def __init__(self) -> None:
        self.pod_count = 0
        self.stop_seconds = array("q")
        self.stop_pods = array("q")
