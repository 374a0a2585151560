"""Which namespaces are looked at: the rules for ephemeral ones and the filters of the command line, as pure values."""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase

from oomdb.errors import SettingsError, UsageError

INCLUDE_RULE = "--include-ns"
EXCLUDE_RULE = "--exclude-ns"

_SHOWN_LENGTH = 80  # of a wrong expression in a message: enough to recognise it
_UUID_GLOB = "-".join("[0-9a-f]" * digits for digits in (8, 4, 4, 4, 12))


@dataclass(frozen=True, slots=True, kw_only=True)
class EphemeralRules:
    """By what a namespace is known to live for one test only; the field names are the keys of `[ephemeral]`.

    Label values are compared whole. Name patterns are globs, in which `<uuid>` stands for a UUID; they spare
    namespaces whose `permanent_label` has one of `permanent_values`.
    """

    label: str = "konflux-ci.dev/namespace-type"
    label_values: tuple[str, ...] = ("eaas", "ephemeral", "test")
    name_patterns: tuple[str, ...] = (
        "clusters-<uuid>",
        "test-*",
        "e2e-*",
        "ephemeral-*",
        "ci-*",
        "pr-*",
        "temp-*",
        "tmp-*",
        "*-test",
        "*-e2e",
        "*-ephemeral",
    )
    permanent_label: str = "konflux-ci.dev/type"
    permanent_values: tuple[str, ...] = ("tenant",)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRules:
    """All rules of one run; `ephemeral` is None where ephemeral namespaces are wanted too."""

    ephemeral: EphemeralRules | None = EphemeralRules()
    include: tuple[re.Pattern[str], ...] = ()
    exclude: tuple[re.Pattern[str], ...] = ()

    @property
    def has_filters(self) -> bool:
        """Whether the user typed expressions, which may fit nothing by mistake."""
        return bool(self.include or self.exclude)

    def judge(self, name: str, labels: Mapping[str, str] | None, *, named: bool) -> str | None:
        """Return the rule that skips a namespace, None where it is to be looked at.

        Rules read as people write them: `--include-ns` (none of these matched), `--exclude-ns`,
        `label konflux-ci.dev/namespace-type=eaas`, `name test-*`.

        Args:
            name: the namespace.
            labels: its labels; None where they could not be read: no rule about ephemeral names applies then.
            named: `-n` names it: no rule about ephemeral names applies then either.
        """
        if self.include and not any(pattern.search(name) for pattern in self.include):
            return INCLUDE_RULE
        if any(pattern.search(name) for pattern in self.exclude):
            return EXCLUDE_RULE
        if self.ephemeral is None or labels is None:
            return None
        return _judge_labels(self.ephemeral, labels) or (
            None if named else _judge_name(self.ephemeral, name=name, labels=labels)
        )


def parse_ephemeral_rules(table: Mapping[str, object]) -> EphemeralRules:
    """Return the rules that the settings' table `[ephemeral]` makes; what it does not say stays as it is by default.

    Raises:
        SettingsError: for a key that is not known, or a value of the wrong type.
    """
    known = {field.name: field.default for field in fields(EphemeralRules)}
    values: dict[str, str | tuple[str, ...]] = {}
    for key, value in table.items():
        if key not in known:
            raise SettingsError(f"[ephemeral] has no key {key!r}; known are {', '.join(known)}.")
        values[key] = _read_text(key, value) if isinstance(known[key], str) else _read_texts(key, value)
    return EphemeralRules(**values)  # type: ignore[arg-type]  # each value was read as the type of its field


def parse_name_filters(option: str, texts: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    """Return the regular expressions of an option: each text holds one or several, separated by commas.

    A comma within braces, brackets or after a backslash belongs to its expression (`a{1,3}`); empty ones are left out.

    Raises:
        UsageError: for an expression that Python cannot compile.
    """
    parts = [part.strip() for text in texts for part in _EXPRESSION.findall(text)]
    return tuple(_compile(option, part) for part in parts if part)


_EXPRESSION = re.compile(r"(?:\\.|\[(?:\\.|[^\]\\])*\]|\{[^{}]*\}|[^,])+", re.DOTALL)


def _judge_labels(rules: EphemeralRules, labels: Mapping[str, str]) -> str | None:
    value = labels.get(rules.label)
    return f"label {rules.label}={value}" if value is not None and value in rules.label_values else None


def _judge_name(rules: EphemeralRules, *, name: str, labels: Mapping[str, str]) -> str | None:
    if labels.get(rules.permanent_label) in rules.permanent_values:
        return None
    for pattern in rules.name_patterns:
        if fnmatchcase(name, pattern.replace("<uuid>", _UUID_GLOB)):
            return f"name {pattern}"
    return None


def _read_text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise SettingsError(f"[ephemeral] {key} is {value!r}, but must be a text in quotes.")
    return value


def _read_texts(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) and each for each in value):
        raise SettingsError(f'[ephemeral] {key} is {value!r}, but must be a list of texts, such as ["a", "b"].')
    return tuple(value)


def _compile(option: str, expression: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Python's plans for `[[` are no concern of the user's
            return re.compile(expression)
    except (re.error, OverflowError, RecursionError) as err:
        raise UsageError(
            f"{option}: {_shorten(expression)!r} is not a regular expression ({err}); "
            "expressions are separated by commas, and a special character is taken literally after a backslash."
        ) from err


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"
