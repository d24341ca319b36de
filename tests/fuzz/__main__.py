"""`python -m tests.fuzz [TARGET ...] --seconds N`: atheris, guided by coverage.

Each target runs in a process of its own, from its seeds. An input that breaks a promise
is written to `seeds/TARGET/`, where the tests replay it from then on. Exit code 1 if
there is one.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

SEEDS = Path(__file__).parent / "seeds"


def main() -> int:
    names = sorted(folder.name for folder in SEEDS.iterdir())
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", default=names, metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=600)
    requested = parser.parse_args()
    failed = [name for name in requested.targets if not run(name, requested.seconds)]
    print(f"{len(requested.targets)} targets, broken promises in: {failed or 'none'}")
    return 1 if failed else 0


def run(name: str, seconds: int) -> bool:
    """Fuzz one target; return whether nothing was found."""
    with tempfile.TemporaryDirectory() as corpus:
        command = [
            sys.executable, "-m", "tests.fuzz.one", name,
            corpus, str(SEEDS / name),
            f"-max_total_time={seconds}", "-max_len=8192", "-timeout=20",
            "-rss_limit_mb=2048", "-print_final_stats=1",
            f"-artifact_prefix={SEEDS / name}/found-",
        ]  # fmt: skip
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    reported = [line for line in done.stderr.splitlines() if "stat::number_of" in line]
    print(f"{name}: exit {done.returncode}, {' '.join(reported)}", flush=True)
    if done.returncode:
        print(done.stderr[-4000:], done.stdout[-2000:], flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
