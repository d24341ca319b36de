"""An upstream that fails, beside one that is healthy."""

from tests.faults.load import FAULTY, ORDINARY
from tests.faults.sites import plain
from tests.faults.trial import Act, Row, Trial
from tests.faults.upstream import Behaviour

_KINDS = ORDINARY | FAULTY


def behaves(behaviour: Behaviour) -> Act:
    """The faulty upstream behaves like this for a while."""

    async def act(trial: Trial) -> None:
        trial.fault()
        trial.site.faulty.behaviour = behaviour
        try:
            await trial.under_fault()
        finally:
            trial.site.faulty.behaviour = Behaviour.GOOD
        trial.mended()
        await trial.steady()

    return act


async def refuses(trial: Trial) -> None:
    trial.fault()
    await trial.site.faulty.stop()
    await trial.under_fault()
    await trial.site.faulty.start()
    trial.mended()
    await trial.steady()


def _row(name: str, what: str, act: Act, *, may_truncate: bool = False) -> Row:
    return Row(
        name=f"upstream-{name}",
        what=f"an upstream {what}",
        site=plain,
        act=act,
        kinds=_KINDS,
        may_truncate=may_truncate,
        healthy=tuple(ORDINARY),
    )


ROWS = (
    _row("refuses", "refuses connections", refuses),
    _row(
        "resets",
        Behaviour.RESETS,
        behaves(Behaviour.RESETS),
        may_truncate=True,
    ),
    _row("hangs", Behaviour.HANGS, behaves(Behaviour.HANGS)),
    _row("garbage", Behaviour.GARBAGE, behaves(Behaviour.GARBAGE)),
    _row("endless-head", Behaviour.ENDLESS, behaves(Behaviour.ENDLESS)),
    _row("closes", Behaviour.CLOSES, behaves(Behaviour.CLOSES)),
    _row("fails", Behaviour.FAILS, behaves(Behaviour.FAILS)),
)
