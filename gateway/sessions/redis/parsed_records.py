"""Records as they were parsed, kept by their bytes: the same bytes are parsed once."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from gateway.sessions.corrupt_reports import CorruptReports
from gateway.sessions.record import Corrupt, Session
from gateway.sessions.record_json import parse_record

# Every look-up queries Redis; this saves the parsing. 10,000 records of 8 KiB are 80 MiB.
PARSED_RECORDS: Final = 10_000
PARSED_BYTES: Final = 8 * 1024


class ParsedRecords:
    """A bounded memo; `on_corrupt(key, why)` is called once for each corrupt key."""

    def __init__(self, on_corrupt: Callable[[str, str], None] | None) -> None:
        self._corrupt = CorruptReports(on_corrupt)
        self._parsed: OrderedDict[str, tuple[bytes, Session | Corrupt]] = OrderedDict()

    def __len__(self) -> int:
        """Count the records that are kept."""
        return len(self._parsed)

    def parse(self, key: str, raw: bytes | None) -> Session | Corrupt | None:
        """Return the value of some bytes; None for None."""
        if raw is None:
            return None
        known = self._parsed.get(key)
        if known is not None and known[0] == raw:
            self._parsed.move_to_end(key)
            return known[1]
        record = parse_record(raw)
        self.remember(key, raw, record)
        if isinstance(record, Corrupt):
            self._corrupt.report(key, record.why)
        return record

    def remember(self, key: str, raw: bytes, record: Session | Corrupt) -> None:
        """Keep what was parsed, or written, unless it is large."""
        if len(raw) > PARSED_BYTES:
            self._parsed.pop(key, None)
            return
        self._parsed[key] = (raw, record)
        self._parsed.move_to_end(key)
        if len(self._parsed) > PARSED_RECORDS:
            self._parsed.popitem(last=False)

    def raw_of(self, key: str, session: Session) -> bytes | None:
        """Return the bytes that a session was read from, if they are kept."""
        known = self._parsed.get(key)
        return known[0] if known is not None and known[1] == session else None
