"""Reads strict YAML into a document.

Read event by event, so that depth is bounded before anything recurses and every
mistake is found, not only the first. Mappings are dicts with text keys, sequences
tuples. Anchors, aliases, tags and merge keys are refused: what is written is what
is meant.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.config.document import BROKEN, Document, Loc, Mark, Span, is_plain_name
from gateway.config.scalars import ScalarError, resolve
from gateway.config.variables import VariableError, replace
from gateway.config.yaml_errors import collection_hint, hint_at, without_quotes
from gateway.config.yaml_text import decode, mark_of

LARGEST: Final = 4 * 1024 * 1024
DEEPEST: Final = 24


def read_document(
    raw: bytes, *, file: str, env: Mapping[str, str], folder: Path
) -> Document:
    """Parse any bytes; mistakes are in the document's `problems`, none is raised."""
    document = Document(file=file)
    if len(raw) > LARGEST:
        document.add_problem((1, 1), "the file is larger than 4 MiB")
        document.broken = True
        return document
    if (text := decode(raw, document)) is None:
        document.broken = True
        return document
    reader = _Reader(document, env, folder)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reader.take(event)
    except _StopReading:
        document.broken = True
    except yaml.MarkedYAMLError as error:
        document.broken = True
        mark = error.problem_mark or error.context_mark
        document.add_problem(
            mark_of(mark) if mark else (1, 1),
            f"invalid YAML: {without_quotes(error.problem or error.context)}",
            hint_at(text, mark) or collection_hint(error),
        )
    except yaml.YAMLError:
        document.broken = True
        document.add_problem((1, 1), "invalid YAML")
    return document


# The C parser reads ten thousand routes in a tenth of the time; both give the same
# events. A wheel without it exists for some platforms.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StopReading(Exception):  # noqa: N818 - leaves a loop; not an error
    """Nothing that follows can be understood."""


@dataclass(slots=True)
class _Frame:
    """A collection that is open. `key` is what the next value of a mapping is for."""

    loc: Loc
    items: dict[str, Any] | list[Any]
    key: str | None = None
    keep: bool = True
    seen: dict[str, Mark] = field(default_factory=dict)


class _Reader:
    """Takes YAML's events one by one and builds the document."""

    def __init__(
        self, document: Document, env: Mapping[str, str], folder: Path
    ) -> None:
        self._document = document
        self._env = env
        self._folder = folder
        self._frames: list[_Frame] = []
        self._skipping = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._start(event)
            case yaml.AliasEvent():
                self._add_problem(event, "aliases are not supported", "write it out")
                self._place(event, BROKEN)
            case yaml.ScalarEvent():
                self._check(event)
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._check(event)
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case _:
                return

    def _start(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self._add_problem(event, "multiple documents are not supported; remove ---")
            raise _StopReading

    def _check(self, event: Any) -> None:
        if event.anchor is not None:
            self._add_problem(event, "anchors are not supported", "write it out")
        if event.tag is not None:
            self._add_problem(event, "tags are not supported", 'put text in "quotes"')

    def _add_problem(self, event: Any, message: str, hint: str = "") -> None:
        self._document.add_problem(mark_of(event.start_mark), message, hint)

    def _open(self, event: Any) -> None:
        if len(self._frames) + self._skipping >= DEEPEST:
            self._add_problem(event, f"more than {DEEPEST} levels deep")
            raise _StopReading
        if self._skipping or self._is_key():
            if not self._skipping:
                self._add_problem(
                    event, "a key must be a string, not a list or a mapping"
                )
            self._skipping += 1
            return
        loc = self._next_loc()
        self._document.marks.setdefault(loc, mark_of(event.start_mark))
        mapping = isinstance(event, yaml.MappingStartEvent)
        self._frames.append(_Frame(loc, {} if mapping else []))

    def _close(self) -> None:
        if self._skipping:
            self._skipping -= 1
            if not self._skipping:
                self._frames[-1].key, self._frames[-1].keep = "", False
            return
        frame = self._frames.pop()
        items = frame.items
        self._put(tuple(items) if isinstance(items, list) else items)

    def _scalar(self, event: Any) -> None:
        if self._skipping:
            return
        if self._is_key():
            self._take_key(event)
            return
        self._span(event, self._next_loc(), is_key=False)
        self._place(event, self._resolved(event))

    def _take_key(self, event: Any) -> None:
        frame, key, mark = self._frames[-1], event.value, mark_of(event.start_mark)
        frame.key, frame.keep = key, True
        loc = frame.loc + (key,)
        self._span(event, loc, is_key=True)
        if key == "<<" and not event.style:
            self._add_problem(event, "merge keys are not supported", "write it out")
            frame.keep = False
        elif "${" in key:
            self._add_problem(event, "variables are not supported in keys")
        elif not key.isprintable() or not key:
            self._add_problem(event, "a key must be one line of text")
        elif key in frame.seen:
            line, column = frame.seen[key]
            name = f' "{key}"' if is_plain_name(key) else ""
            self._add_problem(
                event, f"duplicate key{name}", f"first defined at {line}:{column}"
            )
            frame.keep = False
        frame.seen.setdefault(key, mark)
        self._document.keys.setdefault(loc, mark)

    def _resolved(self, event: Any) -> Any:
        """Replace the variables, then find the type: quotes force text."""
        text = event.value
        plain = not event.style
        written = True
        if "$" in text:
            try:
                text = replace(text, env=self._env, folder=self._folder)
            except VariableError as error:
                self._add_problem(event, str(error))
                return BROKEN
            if "${" in event.value:
                written = False
                self._document.replaced[self._next_loc()] = text
        if _UNWANTED(text):
            self._add_problem(event, "control characters are not allowed in a value")
            return BROKEN
        if not plain:
            return text
        try:
            return resolve(text, written=written)
        except ScalarError as error:
            self._add_problem(event, str(error), error.hint)
            return BROKEN

    def _span(self, event: Any, loc: Loc, *, is_key: bool) -> None:
        start, end = event.start_mark, event.end_mark
        self._document.spans.append(
            Span(
                loc=loc,
                is_key=is_key,
                start=(start.line, start.column),
                end=(end.line, end.column),
                text=event.value,
            )
        )

    def _is_key(self) -> bool:
        if not self._frames:
            return False
        frame = self._frames[-1]
        return isinstance(frame.items, dict) and frame.key is None

    def _next_loc(self) -> Loc:
        if not self._frames:
            return ()
        frame = self._frames[-1]
        if isinstance(frame.items, list):
            return frame.loc + (len(frame.items),)
        return frame.loc + (frame.key or "",)

    def _place(self, event: Any, value: Any) -> None:
        if self._skipping:
            return
        if self._is_key():  # an alias as a key
            self._frames[-1].key, self._frames[-1].keep = "", False
            return
        loc = self._next_loc()
        self._document.marks.setdefault(loc, mark_of(event.start_mark))
        self._put(value)

    def _put(self, value: Any) -> None:
        if not self._frames:
            self._document.data = value
            return
        frame = self._frames[-1]
        if isinstance(frame.items, list):
            frame.items.append(value)
            return
        if frame.keep:
            frame.items[frame.key or ""] = value
        frame.key, frame.keep = None, True


_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]").search
