"""Compare the gateways of two checkouts: the CPU time of a request, interleaved.

    python -m tests.bench.ab TREE_A TREE_B [--workload small ...] [--rounds 9]

A tree is a folder with a checkout, or a revision of this repository, which is
unpacked. Each workload runs its own pair of processes with one configuration. The
ratio is B by A, within each round: median and quartiles, below 1 if B is cheaper.
With `--lua`, nginx with the same job in Lua is measured in the same rounds.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Final

from tests.bench.backends import Backends, backends
from tests.bench.client import Load
from tests.bench.measuring import Sample, interleave
from tests.bench.processes import prepare
from tests.bench.ratios import ratios, spread
from tests.bench.systems.gateway import HERE, PLAIN, PUBLIC, TOKEN, Options, gateway
from tests.bench.systems.nginx import nginx_lua
from tests.bench.systems.system import System

Setup = tuple[str, Load, Options]
WORKLOADS: Final[dict[str, Setup]] = {
    "small": (TOKEN, Load(), Options()),
    "protected": (PLAIN, Load(), Options()),
    "public": (PUBLIC, Load(), Options()),
    "one": (TOKEN, Load(connections=1), Options()),
    "conns": (TOKEN, Load(connections=1000), Options()),
    "newconn": (TOKEN, Load(new_connections=True), Options()),
    "post": (TOKEN, Load(method="POST", page="/upload", body_bytes=256), Options()),
    "bigpost": (
        TOKEN,
        Load(method="POST", page="/upload", body_bytes=1 << 20, connections=16),
        Options(),
    ),
    "100k": (TOKEN, Load(page="/100k"), Options()),
    "big": (TOKEN, Load(page="/1m", connections=16), Options()),
    "foreign": (TOKEN, Load(), Options(foreign=True)),
    "proxied": (TOKEN, Load(), Options(proxied=True)),
    "routes": (TOKEN, Load(), Options(more_routes=5000)),
    "extension": (TOKEN, Load(), Options(extension=True)),
}
_NO_LUA: Final = ("foreign", "proxied", "routes", "extension")


def compare(
    back: Backends, trees: Sequence[Path], workload: str, wanted: argparse.Namespace
) -> None:
    """Measure one workload and print a line for each pair."""
    path, load, options = WORKLOADS[workload]
    with ExitStack() as stack:
        systems: list[System] = []
        for letter, tree in zip("AB", trees, strict=True):
            name = f"{letter}-{workload}"
            started = gateway(back, options=options, tree=tree, name=name)
            systems.append(stack.enter_context(started).at(path, letter))
        if wanted.lua and workload not in _NO_LUA:
            systems.append(stack.enter_context(nginx_lua(back)))
        jobs = [(system, load) for system in systems]
        found = interleave(jobs, wanted.rounds, wanted.seconds, back.folder)
    print(f"{workload:10} {line(found)}", flush=True)
    if wanted.verbose:
        for number, samples in enumerate(found):
            print(" ", number, [round(each.cpu_us, 1) for each in samples])


def line(found: Sequence[Sequence[Sample]]) -> str:
    """Return microseconds and ratios: of A and B, and of each to a third."""
    micros = [[each.cpu_us for each in samples] for samples in found]
    failures: Counter[str] = Counter()
    for each in chain.from_iterable(found):
        failures.update(each.failures)
    parts = [
        f"A {spread(micros[0]).median:7.1f} µs  B {spread(micros[1]).median:7.1f} µs",
        f"B/A {spread(ratios(micros[1], micros[0]))}",
    ]
    if len(micros) > 2:
        parts += [f"A/Lua {spread(ratios(micros[0], micros[2]))}"]
        parts += [f"B/Lua {spread(ratios(micros[1], micros[2]))}"]
    if failures:
        parts.append(f"FAILED REQUESTS: {dict(failures)}")
    return "  ".join(parts)


def checkout(text: str, folder: Path) -> Path:
    """Return the folder of a checkout; a revision is unpacked below `folder`.

    Raises:
        SystemExit: it is neither.
    """
    if (Path(text) / "gateway").is_dir():
        return Path(text).resolve()
    tree = folder / f"revision-{text.replace('/', '-')}"
    tree.mkdir()
    packed = subprocess.run(
        ["git", "-C", str(HERE), "archive", text, "gateway"],
        capture_output=True,
        check=False,
    )
    if packed.returncode:
        raise SystemExit(f"{text}: neither a checkout nor a revision")
    subprocess.run(["tar", "-xC", str(tree)], input=packed.stdout, check=True)
    return tree


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trees", nargs=2, metavar="TREE")
    parser.add_argument("--workload", nargs="+", choices=WORKLOADS, default=["small"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--lua", action="store_true", help="nginx with Lua as well")
    parser.add_argument("--verbose", action="store_true", help="every round")
    wanted = parser.parse_args()
    prepare()
    with tempfile.TemporaryDirectory(prefix="gateway-ab-") as name:
        folder = Path(name)
        trees = [checkout(each, folder) for each in wanted.trees]
        print(f"{sys.version.split()[0]}, {wanted.rounds} rounds of {wanted.seconds} s")
        with backends(folder) as back:
            for workload in wanted.workload:
                compare(back, trees, workload, wanted)


if __name__ == "__main__":
    main()
