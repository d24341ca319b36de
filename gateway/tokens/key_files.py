"""Signing keys in files: a folder of PKCS#8 PEM files; create, read, retire.

A file is named `<created>-<first 8 of kid>.pem` (`.key` for a shared secret), with
the time of its making in UTC, so that names sort by age. Anyone who reads a key
can forge tokens: files that other users may read are refused.
"""

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway.errors import GatewayError
from gateway.tokens.material import BadMaterial, generate, read_pem, read_secret
from gateway.tokens.ring import (
    Algorithm,
    KeyRing,
    Retirable,
    SigningKey,
    plan_retirement,
)

__all__ = [
    "Algorithm",
    "KeyFile",
    "KeyRing",
    "KeysError",
    "SigningKey",
    "embedded_ring",
    "load_ring",
    "locked",
    "new_key",
    "read_folder",
    "retire",
]


class KeysError(GatewayError):
    """The keys cannot be used; `problems` has a sentence for each file."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """A key and where it lies."""

    path: Path
    key: SigningKey


def load_ring(
    folder: Path,
    algorithm: str,
    *,
    now: float | None = None,
    previous: KeyRing | None = None,
    lifetime: float = 0.0,
) -> KeyRing:
    """Read every key of the folder.

    A key that this process signs with, or signed with so lately that its tokens
    live, stays in the ring after `gateway keys retire`: the command cannot know how
    late this process learned of the successor. Its file must still be there, renamed
    to `.retired`; a key whose file was removed, or renamed to `.leaked`, goes at once.

    Args:
        folder: where the `.pem` and `.key` files are.
        algorithm: what tokens are signed with; keys of others are only published.
        now: epoch seconds; needed with `previous`.
        previous: the ring that served until now. A key that it did not hold counts
            as published now, however old its file is.
        lifetime: seconds that a token lives; needed with `previous`.

    Raises:
        KeysError: the folder or a file cannot be read or trusted, or no key is of
            the algorithm.
    """
    chosen = Algorithm(algorithm)
    keys = [file.key for file in read_folder(folder)]
    if not any(key.algorithm is chosen for key in keys):
        advice = f"gateway keys new --folder {folder} --algorithm {chosen}"
        raise KeysError([f"{folder}: no {chosen} key; run: {advice}"])
    if previous is None or now is None:
        return KeyRing(tuple(keys), chosen)
    keys = [_as_published(key, previous, now) for key in keys]
    kept = _still_needed(folder, keys, previous, chosen, now, lifetime)
    return KeyRing((*keys, *kept), chosen)


def read_folder(folder: Path) -> list[KeyFile]:
    """Read the key files, oldest first.

    Raises:
        KeysError: with a problem for each file that cannot be read or trusted.
    """
    try:
        mode = folder.stat().st_mode
        paths = sorted(p for p in folder.iterdir() if _is_key_name(p.name))
    except OSError as error:
        raise KeysError([f"{folder}: {_os_reason(error)}"]) from error
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise KeysError([f"{folder}: anyone may add keys; run: chmod 700 {folder}"])
    files: dict[str, KeyFile] = {}
    problems: list[str] = []
    for path in paths:
        key = _read_key(path)
        if isinstance(key, BadMaterial):
            problems.append(f"{path}: {key.why}")
        elif key.kid in files:
            problems.append(f"{path}: the same key as {files[key.kid].path.name}")
        else:
            files[key.kid] = KeyFile(path=path, key=key)
    if problems:
        raise KeysError(problems)
    return sorted(files.values(), key=lambda file: (file.key.created, file.path))


def new_key(folder: Path, algorithm: str, now: float) -> SigningKey:
    """Make a key in the folder, which is made too when it is not there.

    Raises:
        KeysError: the folder or the file cannot be written.
    """
    material, key = generate(Algorithm(algorithm), float(int(now)))
    suffix = ".key" if key.public_jwk is None else ".pem"
    stamp = datetime.fromtimestamp(key.created, UTC).strftime(_STAMP)
    path = folder / f"{stamp}-{key.kid[:8]}{suffix}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_private(path, material)
    except OSError as error:
        raise KeysError([f"{path}: {_os_reason(error)}"]) from error
    return key


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder: two retirements at once could leave no key at all.

    Raises:
        KeysError: there is no such folder.
    """
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KeysError([f"{folder}: {_os_reason(error)}"]) from error
    try:
        # Some network file systems have no locks; there one operator is assumed.
        with contextlib.suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def retire(folder: Path, kid: str, *, leaked: bool = False) -> Path:
    """Rename the key's file to `.retired`, or `.leaked`; return the new path.

    Whether it may go is for `plan_retirement` to decide.

    Raises:
        KeysError: there is no such key, or the file cannot be renamed.
    """
    for file in read_folder(folder):
        if file.key.kid == kid:
            suffix = _LEAKED if leaked else _RETIRED
            target = file.path.with_name(file.path.name + suffix)
            try:
                return file.path.rename(target)
            except OSError as error:
                raise KeysError([f"{file.path}: {_os_reason(error)}"]) from error
    raise KeysError([f"{folder}: no key {kid}"])


def embedded_ring(algorithm: str, *, now: float) -> KeyRing:
    """Make a ring of one key that is nowhere but in memory: for the demo only."""
    chosen = Algorithm(algorithm)
    return KeyRing((generate(chosen, float(int(now)))[1],), chosen)


_NAME = re.compile(r"(\d{8}T\d{6}Z)-", re.ASCII)
_STAMP = "%Y%m%dT%H%M%SZ"
_SUFFIXES = (".pem", ".key")
_RETIRED = ".retired"
_LEAKED = ".leaked"


def _is_key_name(name: str) -> bool:
    return name.endswith(_SUFFIXES) and not name.startswith(".")


def _as_published(key: SigningKey, previous: KeyRing, now: float) -> SigningKey:
    known = previous.find(key.kid)
    return replace(key, published=known.published if known else max(now, key.created))


def _still_needed(
    folder: Path,
    keys: Sequence[SigningKey],
    previous: KeyRing,
    chosen: Algorithm,
    now: float,
    lifetime: float,
) -> list[SigningKey]:
    """Return the keys of `previous` that are retired, and whose tokens may live."""
    present = {key.kid for key in keys}
    gone = [key for key in previous.keys if key.kid not in present]
    if not gone:
        return []
    retired = _retired_kids(folder)
    kept = []
    for key in gone:
        ring = KeyRing((*keys, key), chosen)
        plan = plan_retirement(ring, key.kid, now=now, lifetime=lifetime)
        if key.kid in retired and plan != Retirable():
            kept.append(key)
    return kept


def _retired_kids(folder: Path) -> frozenset[str]:
    paths = [path for path in folder.iterdir() if path.name.endswith(_RETIRED)]
    keys = [_read_key(path) for path in paths]
    return frozenset(key.kid for key in keys if isinstance(key, SigningKey))


def _write_private(path: Path, material: bytes) -> None:
    """Write to a temporary file, then rename: a reader never sees half a key."""
    temporary = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
        file.write(material)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def _read_key(path: Path) -> SigningKey | BadMaterial:
    try:
        status = path.stat()
        if status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
            who = "other users may use this private key"
            return BadMaterial(f"{who}; run: chmod 600 {path}")
        material = path.read_bytes()
    except OSError as error:
        return BadMaterial(_os_reason(error))
    # A file that came from elsewhere has no time in its name: then its own counts.
    named = _NAME.match(path.name)
    created = _stamp_time(named[1]) if named else float(int(status.st_mtime))
    if created is None:
        return BadMaterial("the name begins with a time that does not exist")
    shared = path.name.removesuffix(_RETIRED).endswith(".key")
    return (read_secret if shared else read_pem)(material, created)


def _stamp_time(stamp: str) -> float | None:
    try:
        return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _os_reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
