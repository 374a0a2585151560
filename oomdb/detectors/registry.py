"""Finding the installed detectors: ours and strangers' come in by the entry points `oomdb.detectors`."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from oomdb.detectors.base import Detector
from oomdb.errors import DetectorError

GROUP = "oomdb.detectors"


def load_detectors(points: Iterable[EntryPoint] | None = None) -> tuple[Detector, ...]:
    """Return an instance of each detector, sorted by name.

    Args:
        points: the entry points to load, each naming a class (or function) that makes a detector when called without
            arguments; None: all that are installed.

    Raises:
        DetectorError: for one that cannot be loaded or is no detector, for two of one name, and where there is none
            (a scan without detectors would call every cluster healthy).
    """
    found: dict[str, tuple[Detector, EntryPoint]] = {}
    for point in entry_points(group=GROUP) if points is None else points:
        detector = _load(point)
        if detector.name in found:
            raise DetectorError(
                f"Two detectors are named {detector.name!r}: that of {_describe(found[detector.name][1])} "
                f"and that of {_describe(point)}; uninstall one of them."
            )
        found[detector.name] = (detector, point)
    if not found:
        raise DetectorError("No detector is installed, not even oomdb's own: install oomdb again (pip install).")
    return tuple(found[name][0] for name in sorted(found))


def _load(point: EntryPoint) -> Detector:
    try:
        detector = point.load()()
    except (Exception, SystemExit) as err:  # a stranger's code runs here: whatever it raises, the message names it
        raise DetectorError(
            f"{_describe(point)} cannot be loaded ({type(err).__name__}: {err}); repair or uninstall it."
        ) from err
    flaw = _find_flaw(detector)
    if flaw:
        raise DetectorError(f"{_describe(point)} is no detector: {flaw}; repair or uninstall it.")
    checked: Detector = detector
    return checked


def _describe(point: EntryPoint) -> str:
    distribution = point.dist.name if point.dist is not None else "an unknown distribution"
    return f"Detector plug-in {point.name!r} ({point.value}) of {distribution}"


def _find_flaw(detector: object) -> str:
    name, types = getattr(detector, "name", None), getattr(detector, "types", None)
    if not isinstance(name, str) or not name:
        return "its `name` is not a text"
    if not isinstance(types, tuple) or not types or not all(isinstance(each, str) and each for each in types):
        return "its `types` is not a tuple of texts"
    if not callable(getattr(detector, "detect", None)):
        return "it has no method `detect`"
    return ""
