"""All rows, by name."""

from tests.faults.rows import clients, clocks, deploys, processes, redis, soak, upstream
from tests.faults.trial import Row

_NOT_YET = frozenset(
    ("parent-killed", "logs-full", "logs-closed", "descriptors", "clock-revives")
)
ROWS: dict[str, Row] = {
    row.name: row
    for module in (redis, upstream, clients, processes, clocks, deploys, soak)
    for row in module.ROWS
    if row.name not in _NOT_YET
}
