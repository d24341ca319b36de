"""All rows, by name."""

from tests.faults.rows import clients, clocks, deploys, dns, processes, redis, soak
from tests.faults.rows import upstream as upstreams
from tests.faults.trial import Row

_NOT_YET = frozenset(("clock-revives", "descriptors"))
_MODULES = (redis, upstreams, clients, processes, clocks, deploys, dns, soak)
ROWS: dict[str, Row] = {
    row.name: row
    for module in _MODULES
    for row in module.ROWS
    if row.name not in _NOT_YET
}
