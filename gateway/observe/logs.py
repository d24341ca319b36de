"""Configures structlog: JSON lines, or readable lines on a terminal.

All lines go through one `Sink`, so they keep their order. Records of the standard
library's logging are written in the same format.
"""

import logging
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson
import structlog
from structlog.typing import EventDict, Processor

from gateway.observe.failure import stack_of
from gateway.observe.redact import Redactor
from gateway.observe.sink import Sink

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


_OPTIONS: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z


class Format(StrEnum):
    """The format of log lines; `auto` is `console` on a terminal, else `json`."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOutput:
    """The sink of log lines, and their format."""

    sink: Sink
    console: bool
    redactor: Redactor
    colour: bool = False

    def render(self, event: EventDict) -> str:
        """Return an event as a line."""
        if not self.console:
            return json_line(event)
        line = _console_line(event)
        return line if self.colour else _STYLE.sub("", line)


class LineLogger:
    """The innermost structlog logger: writes rendered lines to a `Sink`."""

    def __init__(self, sink: Sink) -> None:
        self.debug = self.info = self.warning = self.warn = sink.write
        self.error = self.critical = self.exception = self.fatal = sink.write


def configure(
    level: str = "info",
    fmt: Format | str = Format.AUTO,
    *,
    fd: int = 1,
    secrets: Iterable[str] = (),
    no_colour: bool = False,
) -> LogOutput:
    """Configure structlog and logging to write to `fd`; call it in each process.

    Only a terminal gets colours, and not with `no_colour`.
    `secrets` are masked in the gateway log. The caller closes `.sink` at the end,
    which writes the remaining lines.

    Raises:
        ValueError: `level` or `fmt` is not a known word.
    """
    form = Format(fmt)
    terminal = _is_terminal(fd)
    output = LogOutput(
        sink=Sink(fd),
        console=form is Format.CONSOLE or (form is Format.AUTO and terminal),
        redactor=Redactor(secrets),
        colour=terminal and not no_colour,
    )
    lines = LineLogger(output.sink)
    structlog.configure(
        processors=_processors(output, output.redactor),
        wrapper_class=_bound(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    logging.root.handlers = [_Bridge()]
    logging.root.setLevel(max(_number(level), logging.WARNING))
    return output


def set_level(level: str) -> None:
    """Set the log level.

    Raises:
        ValueError: not a known word.
    """
    structlog.configure(**{**structlog.get_config(), "wrapper_class": _bound(level)})
    logging.root.setLevel(max(_number(level), logging.WARNING))


def lines_of(output: LogOutput, line: Processor) -> Any:
    """Return a structlog logger whose only processor is `line`."""
    return structlog.wrap_logger(
        LineLogger(output.sink), processors=[line], wrapper_class=_bound("info")
    ).bind()


def json_line(event: EventDict) -> str:
    """Return an event as JSON; invalid UTF-8 is replaced."""
    try:
        return orjson.dumps(event, repr, _OPTIONS).decode()
    except TypeError:  # a lone surrogate, a key that is not text, a huge number
        plain = {_utf8(key): _utf8(value) for key, value in event.items()}
        return orjson.dumps(plain, option=orjson.OPT_APPEND_NEWLINE).decode()


def _processors(output: LogOutput, redactor: Redactor) -> list[Processor]:
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="@timestamp")
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        stamp,
        structlog.processors.StackInfoRenderer(),
        _stack_without_values,
        redactor,
        _ecs_names,
        lambda _logger, _name, event: output.render(event),
    ]


def _stack_without_values(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Replace an exception by its stack; its message may quote its input."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["exception"] = stack_of(error)
    return event


def _ecs_names(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Rename common fields to those of the Elastic Common Schema."""
    named: dict[str, Any] = {
        "@timestamp": event.pop("@timestamp"),
        "log.level": event.pop("level"),
        "event.dataset": "gateway.log",
        "message": event.pop("event", ""),
    }
    for plain, ecs in (("exception", "error.stack_trace"), ("logger", "log.logger")):
        if plain in event:
            named[ecs] = event.pop(plain)
    named.update(event)
    return named


class _Bridge(logging.Handler):
    """Passes records of libraries to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's format string
            message = str(record.msg)
        level = logging.getLevelName(record.levelno).lower()
        log = structlog.get_logger()
        method = level if level in LEVELS else "error"
        getattr(log, method)(message, logger=record.name, exc_info=record.exc_info)


_COLOURS: Final = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_STYLE: Final = re.compile(r"\x1b\[[0-9]+m")
"""The colours of `_console_line`; it escapes those in values."""
_HIDDEN: Final = frozenset(
    {"@timestamp", "log.level", "message", "event.dataset", "error.stack_trace"}
)


def _console_line(event: EventDict) -> str:
    """Return an event as a line for a terminal; control characters are escaped."""
    level = str(event.get("log.level", "info"))
    stamp = str(event.get("@timestamp", ""))[11:23]
    rest = " ".join(
        f"\x1b[2m{_plain(key)}=\x1b[0m{_plain(value)}"
        for key, value in event.items()
        if key not in _HIDDEN
    )
    message = _plain(event.get("message", ""))
    colour = _COLOURS.get(level, "\x1b[32m")
    text = f"\x1b[2m{stamp}\x1b[0m {colour}{level:7}\x1b[0m {message}  {rest}".rstrip()
    if trace := event.get("error.stack_trace"):
        text += "\n" + "\n".join(_plain(line) for line in str(trace).split("\n"))
    return text + "\n"


def _plain(value: object) -> str:
    text = str(value)
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _utf8(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()


def _bound(level: str) -> Any:
    return structlog.make_filtering_bound_logger(_number(level))


def _number(level: str) -> int:
    if level not in LEVELS:
        raise ValueError(f"log level {level!r}: one of {', '.join(LEVELS)} is expected")
    return LEVELS[level]


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False
