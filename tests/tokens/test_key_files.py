"""The folder of keys: what is trusted, what is refused, and what it says then."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from gateway.tokens.jwks import jwks_document
from gateway.tokens.key_files import (
    Algorithm,
    KeysError,
    load_ring,
    locked,
    new_key,
    read_folder,
    retire,
)
from gateway.tokens.ring import CLOCK_LEEWAY, PUBLICATION_DELAY

NOW = 1_800_000_000.9
ALGORITHMS = [one.value for one in Algorithm]

PUBLIC = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(ser.Encoding.PEM, ser.PublicFormat.SubjectPublicKeyInfo)
)


def pem(key: object, password: bytes | None = None) -> bytes:
    secret: ser.KeySerializationEncryption = ser.NoEncryption()
    if password:
        secret = ser.BestAvailableEncryption(password)
    assert isinstance(
        key,
        ec.EllipticCurvePrivateKey
        | rsa.RSAPrivateKey
        | ed25519.Ed25519PrivateKey
        | ed448.Ed448PrivateKey,
    )
    return key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, secret)


def put(folder: Path, name: str, content: bytes, mode: int = 0o600) -> Path:
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    return path


def refusal(folder: Path, algorithm: str = "ES256") -> str:
    with pytest.raises(KeysError) as caught:
        load_ring(folder, algorithm)
    return str(caught.value)


# Refused


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o640 | 0o020, 0o601, 0o666])
def test_a_key_that_others_may_use_is_refused_with_the_command(
    tmp_path: Path, mode: int
) -> None:
    new_key(tmp_path, "ES256", NOW)
    path = next(tmp_path.glob("*.pem"))
    path.chmod(mode)

    assert f"chmod 600 {path}" in refusal(tmp_path)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_a_key_that_a_group_may_read_is_how_secrets_are_mounted(
    tmp_path: Path, mode: int
) -> None:
    new_key(tmp_path, "ES256", NOW)
    next(tmp_path.glob("*.pem")).chmod(mode)

    assert load_ring(tmp_path, "ES256").keys


def test_a_folder_where_anyone_may_add_keys_is_refused(tmp_path: Path) -> None:
    new_key(tmp_path, "ES256", NOW)
    tmp_path.chmod(0o777)

    assert f"chmod 700 {tmp_path}" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "make", "states"),
    [
        pytest.param("k.pem", lambda: b"", "not a private key", id="empty"),
        pytest.param("k.pem", lambda: b"\xff\x00" * 50, "not a private key", id="bin"),
        pytest.param("k.pem", lambda: PUBLIC, "not a private key", id="public key"),
        pytest.param(
            "k.pem",
            lambda: pem(ec.generate_private_key(ec.SECP256R1()), b"pw"),
            "encrypted",
            id="encrypted",
        ),
        pytest.param(
            "k.pem",
            lambda: pem(ec.generate_private_key(ec.SECP384R1())),
            "only P-256",
            id="another curve",
        ),
        pytest.param(
            "k.pem",
            lambda: pem(ed448.Ed448PrivateKey.generate()),
            "only P-256",
            id="another kind",
        ),
        pytest.param(
            "k.pem",
            lambda: pem(rsa.generate_private_key(65537, 1024)),
            "1024 bits; at least 2048",
            id="short RSA",
        ),
        pytest.param("k.key", lambda: b"x" * 31 + b"\n", "31 bytes", id="short secret"),
        pytest.param("k.key", lambda: PUBLIC, "name it .pem", id="public as secret"),
        pytest.param(
            "20269999T000000Z-x.pem", lambda: b"", "does not exist", id="no such time"
        ),
    ],
)
def test_a_file_that_cannot_sign_is_refused(
    tmp_path: Path, name: str, make: Callable[[], bytes], states: str
) -> None:
    new_key(tmp_path, "ES256", NOW)
    path = put(tmp_path, name, make())

    message = refusal(tmp_path)

    assert str(path) in message
    assert states in message


def test_all_bad_files_are_reported_at_once(tmp_path: Path) -> None:
    put(tmp_path, "a.pem", b"")
    put(tmp_path, "b.key", b"")

    assert len(refusal(tmp_path).splitlines()) == 2


def test_the_same_key_twice_is_refused(tmp_path: Path) -> None:
    new_key(tmp_path, "ES256", NOW)
    path = next(tmp_path.glob("*.pem"))
    put(tmp_path, "20300101T000000Z-copy.pem", path.read_bytes())

    assert "the same key as" in refusal(tmp_path)


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    assert "no such file or directory" in refusal(tmp_path / "none")


def test_a_dangling_link_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.pem").symlink_to(tmp_path / "none")

    assert "a.pem: no such file" in refusal(tmp_path)


def test_a_folder_without_a_key_of_the_algorithm_names_the_command(
    tmp_path: Path,
) -> None:
    new_key(tmp_path, "EdDSA", NOW)

    assert "gateway keys new" in refusal(tmp_path)
    assert "--algorithm ES256" in refusal(tmp_path)


# Made and read


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_was_made_is_read_again(tmp_path: Path, algorithm: str) -> None:
    folder = tmp_path / "new" / "keys"

    made = new_key(folder, algorithm, NOW)
    (read,) = load_ring(folder, algorithm).keys

    assert read == made
    assert read.created == 1_800_000_000
    assert folder.stat().st_mode & 0o777 == 0o700
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    suffix = "key" if algorithm == "HS256" else "pem"
    assert path.name == f"20270115T080000Z-{made.kid[:8]}.{suffix}"


def test_the_umask_does_not_open_a_key(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        new_key(tmp_path / "k", "ES256", NOW)
    finally:
        os.umask(before)

    assert load_ring(tmp_path / "k", "ES256").keys


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_private_key_prints(tmp_path: Path, algorithm: str) -> None:
    key = new_key(tmp_path, algorithm, NOW)
    ring = load_ring(tmp_path, algorithm)
    secret = next(tmp_path.iterdir()).read_text().strip().splitlines()[-2:][0]

    for text in (repr(key), repr(ring), jwks_document(ring).decode()):
        assert secret not in text
        assert "PrivateKey" not in text


def test_a_key_made_elsewhere_signs_and_has_the_age_of_its_file(
    tmp_path: Path,
) -> None:
    traditional = rsa.generate_private_key(65537, 2048).private_bytes(
        ser.Encoding.PEM, ser.PrivateFormat.TraditionalOpenSSL, ser.NoEncryption()
    )
    path = put(tmp_path, "mine.pem", traditional)

    assert load_ring(tmp_path, "RS256").keys[0].created == int(path.stat().st_mtime)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    new_key(tmp_path, "ES256", NOW)
    for name in ("README", "x.pem.retired", ".x.pem.new", "..data", ".hidden.pem"):
        put(tmp_path, name, b"?")

    assert len(load_ring(tmp_path, "ES256").keys) == 1


def test_a_secret_is_the_text_of_its_file(tmp_path: Path) -> None:
    put(tmp_path, "shared.key", b"s" * 40 + b"\n")

    assert load_ring(tmp_path, "HS256").keys[0].private == b"s" * 40


def test_retired_is_renamed_and_gone(tmp_path: Path) -> None:
    old, young = new_key(tmp_path, "ES256", NOW - 9), new_key(tmp_path, "ES256", NOW)

    path = retire(tmp_path, old.kid)

    assert path.name.endswith(".pem.retired")
    assert [file.key.kid for file in read_folder(tmp_path)] == [young.kid]
    with pytest.raises(KeysError):
        retire(tmp_path, old.kid)


def test_a_key_that_still_signs_here_outlives_its_retirement(tmp_path: Path) -> None:
    old = new_key(tmp_path, "ES256", NOW - 9000)
    late = load_ring(tmp_path, "ES256")
    young = new_key(tmp_path, "ES256", NOW - 5000)
    retire(tmp_path, old.kid)

    kept = load_ring(tmp_path, "ES256", now=NOW, previous=late, lifetime=60)

    assert kept.signing(NOW).kid == old.kid
    assert {key.kid for key in kept.keys} == {old.kid, young.kid}
    over = NOW + PUBLICATION_DELAY + 60 + CLOCK_LEEWAY
    assert kept.signing(over).kid == young.kid
    after = load_ring(tmp_path, "ES256", now=over, previous=kept, lifetime=60)
    assert [key.kid for key in after.keys] == [young.kid]


@pytest.mark.parametrize("algorithm", ["ES256", "HS256"])
def test_a_key_that_got_out_goes_at_the_next_reload(
    tmp_path: Path, algorithm: str
) -> None:
    old = new_key(tmp_path, algorithm, NOW - 9000)
    before = load_ring(tmp_path, algorithm)
    young = new_key(tmp_path, algorithm, NOW)

    path = retire(tmp_path, old.kid, leaked=True)

    assert path.name.endswith(".leaked")
    after = load_ring(tmp_path, algorithm, now=NOW, previous=before, lifetime=60)
    assert [key.kid for key in after.keys] == [young.kid]


def test_two_retirements_at_once_are_one_after_the_other(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path):
            order.append("second")

    waiting = threading.Thread(target=second)
    with locked(tmp_path):
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join()

    assert order == ["first", "second"]


def test_a_folder_that_is_not_there_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="no such file"), locked(tmp_path / "none"):
        pass


def test_a_reload_counts_a_new_key_from_when_it_was_seen(tmp_path: Path) -> None:
    new_key(tmp_path, "ES256", NOW - 9000)
    before = load_ring(tmp_path, "ES256")
    young = new_key(tmp_path, "ES256", NOW - 5000)

    after = load_ring(tmp_path, "ES256", now=NOW, previous=before)

    found = after.find(young.kid)
    assert found is not None
    assert found.published == NOW
    assert after.signing(NOW) == before.keys[0]
    again = load_ring(tmp_path, "ES256", now=NOW + 50, previous=after)
    assert again == after
