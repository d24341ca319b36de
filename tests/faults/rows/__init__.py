"""All rows, by name."""

from tests.faults.rows import (
    clients,
    clocks,
    deploys,
    dns,
    processes,
    redis,
    soak,
    topologies,
)
from tests.faults.rows import upstream as upstreams
from tests.faults.trial import Row

_MODULES = (
    *(redis, topologies, upstreams, dns),
    *(clients, processes, deploys, clocks, soak),
)
ROWS: dict[str, Row] = {row.name: row for module in _MODULES for row in module.ROWS}
