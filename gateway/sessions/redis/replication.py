"""Replication state as reported by servers and Sentinels. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Place: TypeAlias = tuple[str, int]
"""Host and port of a server, as Sentinel or its master spells them."""

_NEVER: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """One answer to `INFO replication`.

    `lag` is the longest silence of a replica that is online, in whole seconds.
    `syncing` are connected, and receive the whole dataset at the moment.
    """

    role: str
    replid: str
    link_up: bool = True
    online: frozenset[Place] = frozenset()
    syncing: frozenset[Place] = frozenset()
    lag: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownReplica:
    """One replica as a Sentinel lists it; `down` is for how long, in seconds.

    `answered`: it has answered this Sentinel since it is listed under this master.
    """

    place: Place
    down: float
    answered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What one Sentinel says of the master: which server, decided when.

    `asked` is the time of the question, on the clock of the event loop. `sentinels`
    counts all that this one knows, itself included. `down_after` is in seconds.
    """

    asked: float
    place: Place
    epoch: int
    sentinels: int
    down_after: float
    replicas: tuple[KnownReplica, ...] = ()


def read_replication(info: bytes) -> Replication:
    """Read `INFO replication`; what is missing is taken as a master alone."""
    fields = read_info(info)
    online: set[Place] = set()
    syncing: set[Place] = set()
    lag = 0
    for name, value in fields.items():
        if not (name.startswith("slave") and name[5:].isdigit()):
            continue
        parts = dict(
            part.partition("=")[::2] for part in value.split(",") if "=" in part
        )
        place = (parts.get("ip", ""), _number(parts.get("port", "")))
        if parts.get("state") == "online":
            online.add(place)
            lag = max(lag, _number(parts.get("lag", "0")))
        else:
            syncing.add(place)
    return Replication(
        role=fields.get("role", "master"),
        replid=fields.get("master_replid", ""),
        link_up=fields.get("master_link_status", "up") == "up",
        online=frozenset(online),
        syncing=frozenset(syncing),
        lag=lag,
    )


def read_info(info: bytes) -> dict[str, str]:
    """Read an answer to INFO as its fields."""
    lines = info.decode("utf-8", "replace").splitlines()
    return dict(line.partition(":")[::2] for line in lines if ":" in line)


def read_opinion(
    asked: float, named: Any, master: Any, replicas: Any
) -> Opinion | None:
    """Read what a Sentinel answers; None where it knows no such master.

    Takes the answers to GET-MASTER-ADDR-BY-NAME, MASTER and REPLICAS.
    """
    if not (isinstance(named, list) and len(named) == 2 and isinstance(master, list)):
        return None
    fields = _pairs(master)
    listed = replicas if isinstance(replicas, list) else []
    return Opinion(
        asked=asked,
        place=(named[0].decode(), _number(named[1].decode())),
        epoch=_number(fields.get("config-epoch", "0")),
        sentinels=_number(fields.get("num-other-sentinels", "0")) + 1,
        down_after=_number(fields.get("down-after-milliseconds", "30000")) / 1000,
        replicas=tuple(_replica(_pairs(each)) for each in listed),
    )


def _replica(fields: Mapping[str, str]) -> KnownReplica:
    flags = fields.get("flags", "").split(",")
    down = "s_down" in flags or "o_down" in flags
    return KnownReplica(
        place=(fields.get("ip", ""), _number(fields.get("port", ""))),
        down=_number(fields.get("s-down-time", "0")) / 1000 if down else 0.0,
        answered=fields.get("info-refresh", "0") != "0",
    )


def _pairs(flat: Sequence[Any]) -> dict[str, str]:
    words: Iterable[str] = [_text(word) for word in flat]
    both = iter(words)
    return dict(zip(both, both, strict=False))


def _text(word: Any) -> str:
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)


def _number(text: str) -> int:
    return min(int(text), _NEVER) if text.isascii() and text.isdigit() else 0
