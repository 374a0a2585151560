"""Detectors come in by entry points, strangers' and ours alike."""

from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint

import pytest

from oomdb.detectors.base import Observation, Window
from oomdb.detectors.registry import load_detectors
from oomdb.errors import DetectorError, OomdbError
from oomdb.model import Event, Pod, Suspect


class Quiet:
    name = "quiet"
    types = ("Quiet",)

    def detect(self, pod: Pod | None, events: Sequence[Event], window: Window) -> Iterator[Observation | Suspect]:
        return iter(())


class Nameless(Quiet):
    name = ""


class Listed(Quiet):
    types = ["Quiet"]  # type: ignore[assignment]  # noqa: RUF012  # the mistake that is tested


class Deaf:
    name = "deaf"
    types = ("Deaf",)


class Broken(Quiet):
    def __init__(self) -> None:
        raise RuntimeError("no luck")


class Leaving(Quiet):
    def __init__(self) -> None:
        raise SystemExit(3)


def point(name: str, value: str | None = None) -> EntryPoint:
    return EntryPoint(name=name, value=value or f"{__name__}:{name}", group="oomdb.detectors")


def test_our_own_detectors_are_installed_and_sorted_by_name() -> None:
    found = {each.name: each.types for each in load_detectors()}
    assert list(found) == sorted(found)
    assert found["crash_loop"] == ("CrashLoopBackOff",)
    assert found["oom_killed"] == ("OOMKilled",)


def test_a_strangers_detector_is_loaded_beside_ours() -> None:
    ours = point("x", "oomdb.detectors.oom_killed:OomKilledDetector")
    assert [each.name for each in load_detectors([point("Quiet"), ours])] == ["oom_killed", "quiet"]


@pytest.mark.parametrize(
    ("plug_in", "words"),
    [
        (point("gone", "no_such_module_here:Detector"), "No module named 'no_such_module_here'"),
        (point("lost", f"{__name__}:NoSuchClass"), "AttributeError"),
        (point("Broken"), "RuntimeError: no luck"),
        (point("Leaving"), "SystemExit: 3"),
        (point("Nameless"), "its `name` is not a text"),
        (point("Listed"), "its `types` is not a tuple of texts"),
        (point("Deaf"), "it has no method `detect`"),
    ],
    ids=lambda value: value.name if isinstance(value, EntryPoint) else "",
)
def test_a_broken_plug_in_is_named(plug_in: EntryPoint, words: str) -> None:
    with pytest.raises(DetectorError) as caught:
        load_detectors([point("Quiet"), plug_in])
    message = str(caught.value)
    assert message.startswith(f"Detector plug-in '{plug_in.name}' ({plug_in.value}) of an unknown distribution ")
    assert words in message
    assert message.endswith("repair or uninstall it.")


def test_the_distribution_of_a_broken_plug_in_is_named() -> None:
    class Installed:
        name = "bad-plug-in"

    broken = point("Broken")
    vars(broken).update(dist=Installed())
    with pytest.raises(DetectorError, match=r"Detector plug-in 'Broken' .* of bad-plug-in cannot be loaded"):
        load_detectors([broken])


def test_two_detectors_of_one_name_are_refused() -> None:
    with pytest.raises(DetectorError, match="Two detectors are named 'quiet'"):
        load_detectors([point("Quiet"), point("again", f"{__name__}:Quiet")])


def test_no_detector_at_all_is_an_error_and_not_a_healthy_fleet() -> None:
    with pytest.raises(OomdbError, match="No detector is installed"):
        load_detectors([])
