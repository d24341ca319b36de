"""Records as they were parsed, kept by their bytes: the same bytes are parsed once."""

from collections.abc import Callable
from typing import Final

from gateway.http.memo import Generations
from gateway.sessions.corrupt_reports import CorruptReports
from gateway.sessions.record import Corrupt, Session
from gateway.sessions.record_json import parse_record

# Every look-up queries Redis; this saves the parsing. Two generations, so 10,000 records
# of 8 KiB, which are 80 MiB.
PARSED_RECORDS: Final = 5000
PARSED_BYTES: Final = 8 * 1024
PARSED_TOGETHER: Final = PARSED_RECORDS * PARSED_BYTES


class ParsedRecords:
    """A bounded memo; `on_corrupt(key, why)` is called once for each corrupt key."""

    def __init__(self, on_corrupt: Callable[[str, str], None] | None) -> None:
        self._corrupt = CorruptReports(on_corrupt)
        self._parsed: Generations[str, tuple[bytes, Session | Corrupt]]
        self._parsed = Generations(PARSED_RECORDS, PARSED_TOGETHER)

    def parse(self, key: str, raw: bytes | None) -> Session | Corrupt | None:
        """Return the value of some bytes; None for None."""
        if raw is None:
            return None
        known = self._parsed.get(key) or self._parsed.find(key)
        if known is not None and known[0] == raw:
            return known[1]
        record = parse_record(raw)
        self.remember(key, raw, record)
        if isinstance(record, Corrupt):
            self._corrupt.report(key, record.why)
        return record

    def remember(self, key: str, raw: bytes, record: Session | Corrupt) -> None:
        """Keep what was parsed, or written, unless it is large."""
        size = len(raw) if len(raw) <= PARSED_BYTES else PARSED_TOGETHER + 1
        self._parsed.keep(key, (raw, record), size)

    def raw_of(self, key: str, session: Session) -> bytes | None:
        """Return the bytes that a session was read from, if they are kept."""
        known = self._parsed.find(key)
        return known[0] if known is not None and known[1] == session else None
