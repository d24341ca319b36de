"""`gateway keys`: a rotation, as somebody does it by hand."""

import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from gateway.tokens.key_files import load_ring, new_key
from gateway.tokens.material import read_secret
from gateway.tokens.ring import CLOCK_LEEWAY, PUBLICATION_DELAY, SigningKey
from tests.servers import PATIENCE

CONFIG = """\
version: 1
upstreams: {{app: {{url: "http://127.0.0.1:3000"}}}}
routes: [{{match: /**, rule: protected, upstream: app}}]
tokens: {{keys: {keys}, algorithm: EdDSA, lifetime: 5m}}
"""


def gateway(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["keys", *map(str, arguments)])


def test_nothing_is_made_for_an_embedded_key(tmp_path: Path) -> None:
    config = tmp_path / "g.yaml"
    config.write_text(CONFIG.format(keys="embedded"))

    answer = gateway("new", "-c", config)

    assert answer.exit_code == 1
    assert "tokens.keys is embedded" in answer.output


@pytest.mark.parametrize(
    ("arguments", "code", "states"),
    [
        (("list",), 1, "no ES256 key; run: gateway keys new"),
        (("retire", "x"), 1, "no ES256 key"),
        (("new", "--algorithm", "none"), 2, "'none' is not one of"),
        (("retire",), 2, "Missing argument 'KID'"),
    ],
)
def test_what_cannot_be_done_states_the_reason(
    tmp_path: Path, arguments: tuple[str, ...], code: int, states: str
) -> None:
    answer = gateway(*arguments, "--folder", tmp_path)

    assert answer.exit_code == code
    assert states in answer.output


def test_a_first_key_signs_at_once(tmp_path: Path) -> None:
    made = gateway("new", "--folder", tmp_path / "keys")
    listed = gateway("list", "--folder", tmp_path / "keys")

    assert made.exit_code == 0
    assert "signs immediately" in made.output
    _, algorithm, _, state = listed.output.splitlines()[1].split()
    assert (algorithm, state) == ("ES256", "signing")


def test_the_configuration_names_folder_and_algorithm(tmp_path: Path) -> None:
    config = tmp_path / "g.yaml"
    config.write_text(CONFIG.format(keys="keys"))

    assert gateway("new", "-c", config).exit_code == 0
    listed = gateway("list", "-c", config)

    assert "EdDSA" in listed.output
    assert len(list((tmp_path / "keys").glob("*.pem"))) == 1


def test_a_second_key_is_published_and_waits(tmp_path: Path) -> None:
    new_key(tmp_path, "ES256", time.time() - 9_000)

    made = gateway("new", "--folder", tmp_path)
    listed = gateway("list", "--folder", tmp_path)

    assert "until then it is only published" in made.output
    assert "Reload" in made.output
    assert "next (signs from" in listed.output.splitlines()[1]
    assert listed.output.splitlines()[2].endswith("signing")


def test_the_only_key_stays_in_any_case(tmp_path: Path) -> None:
    key = new_key(tmp_path, "ES256", time.time() - 9_000)

    for force in ((), ("--force",)):
        answer = gateway("retire", "--folder", tmp_path, key.kid, *force)
        assert answer.exit_code == 1
        assert "the only key" in answer.output


def test_a_key_whose_tokens_live_stays_until_a_time_that_is_reported(
    tmp_path: Path,
) -> None:
    now = time.time()
    old = new_key(tmp_path, "ES256", now - 9_000)
    new_key(tmp_path, "ES256", now - PUBLICATION_DELAY)
    safe = time.gmtime(int(now) + 60 + CLOCK_LEEWAY)

    answer = gateway("retire", "--folder", tmp_path, old.kid)

    assert answer.exit_code == 1
    assert f"retry at {time.strftime('%Y-%m-%dT%H:%M:%SZ', safe)}" in answer.output
    assert gateway("retire", "--folder", tmp_path, old.kid, "--force").exit_code == 0


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize(
    ("ages", "states"),
    [
        pytest.param(
            (9_000, 5_000), "this key is in use; first run", id="no successor"
        ),
        pytest.param(
            (9_000, 9_000), "this key is in use; first run", id="made together"
        ),
        pytest.param((100, 50), "this key is in use until", id="a first start"),
        pytest.param((9_000, 100), "this key is in use until", id="successor waits"),
        pytest.param((9_000, -3_600), "set the clock", id="clock set back"),
        pytest.param((-60, -70), "set the clock", id="all of the future"),
    ],
)
def test_the_key_that_signs_stays_whatever_the_clock(
    tmp_path: Path, ages: tuple[int, int], states: str, force: tuple[str, ...]
) -> None:
    for age in ages:
        new_key(tmp_path, "ES256", time.time() - age)
    ring = load_ring(tmp_path, "ES256")
    signing = ring.signing(time.time())

    answer = gateway("retire", "--folder", tmp_path, signing.kid, *force)

    assert answer.exit_code == 1
    assert states in answer.output
    assert load_ring(tmp_path, "ES256") == ring


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_key_that_waits_stays_as_another_clock_lets_it_sign(
    tmp_path: Path, force: tuple[str, ...]
) -> None:
    new_key(tmp_path, "ES256", time.time() - 9_000)
    waits = new_key(tmp_path, "ES256", time.time() - PUBLICATION_DELAY + 120)

    answer = gateway("retire", "--folder", tmp_path, waits.kid, *force)

    assert answer.exit_code == 1
    assert "this key is about to be used" in answer.output


def test_a_key_that_got_out_goes_although_it_signs(tmp_path: Path) -> None:
    signing = new_key(tmp_path, "ES256", time.time() - 9_000)
    only = gateway("retire", "--folder", tmp_path, signing.kid, "--leaked")
    young = new_key(tmp_path, "ES256", time.time())

    answer = gateway("retire", "--folder", tmp_path, signing.kid, "--leaked")

    assert "the only key" in only.output
    assert answer.exit_code == 0
    assert ".pem.leaked" in answer.output
    assert load_ring(tmp_path, "ES256").signing(time.time()).kid == young.kid


def test_which_kind_signs_is_for_the_configuration_to_say(tmp_path: Path) -> None:
    config = tmp_path / "g.yaml"
    config.write_text(CONFIG.format(keys="keys"))
    keys = tmp_path / "keys"
    signing = new_key(keys, "EdDSA", time.time() - 9_000)
    new_key(keys, "ES256", time.time() - 9_000)
    kind = ("--algorithm", "ES256")

    by_folder = gateway("retire", "--folder", keys, *kind, signing.kid)
    by_file = gateway("retire", "-c", config, *kind, signing.kid)

    assert "keys for several algorithms; use -c" in by_folder.output
    assert "the only key" in by_file.output


def beginning_with(dashes: str) -> tuple[bytes, str]:
    while True:
        secret = secrets.token_urlsafe(32).encode()
        found = read_secret(secret, 0.0)
        assert isinstance(found, SigningKey)
        if found.kid.startswith(dashes):
            return secret, found.kid


@pytest.mark.parametrize("begins", ["-", "--", "-c"])
def test_an_old_key_whose_id_looks_like_an_option_can_be_retired(
    tmp_path: Path, begins: str
) -> None:
    secret, kid = beginning_with(begins)
    path = tmp_path / "20200101T000000Z-old.key"
    path.write_bytes(secret)
    path.chmod(0o600)
    new_key(tmp_path, "HS256", time.time() - 9_000)

    answer = gateway("retire", kid, "--folder", tmp_path)

    assert answer.exit_code == 0, answer.output
    assert ".key.retired" in answer.output


def test_many_retirements_at_once_leave_the_key_that_signs(tmp_path: Path) -> None:
    made = [
        new_key(tmp_path, "ES256", time.time() - age) for age in (9_000, 8_000, 7_000)
    ]
    command = [sys.executable, "-m", "gateway", "keys", "retire", "--force"]

    running = [
        subprocess.Popen(
            [*command, "--folder", str(tmp_path), key.kid],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for key in made
    ]
    codes = [process.wait(PATIENCE) for process in running]

    assert codes == [0, 0, 1]
    assert [key.kid for key in load_ring(tmp_path, "ES256").keys] == [made[-1].kid]


def test_a_mistyped_option_is_not_taken_for_a_key(tmp_path: Path) -> None:
    assert gateway("retire", "x", "--forse", "--folder", tmp_path).exit_code == 2


def test_a_key_that_is_not_needed_goes(tmp_path: Path) -> None:
    now = time.time()
    old = new_key(tmp_path, "ES256", now - 9_000)
    new_key(tmp_path, "ES256", now - 5_000)

    answer = gateway("retire", "--folder", tmp_path, old.kid[:8])

    assert answer.exit_code == 0
    assert ".pem.retired" in answer.output
    assert old.kid not in gateway("list", "--folder", tmp_path).output


def test_a_beginning_that_two_keys_share_is_refused(tmp_path: Path) -> None:
    new_key(tmp_path, "ES256", time.time())
    new_key(tmp_path, "ES256", time.time())

    answer = gateway("retire", "--folder", tmp_path, "")

    assert answer.exit_code == 1
    assert "2 keys match" in answer.output


def test_keys_of_several_kinds_need_a_choice(tmp_path: Path) -> None:
    new_key(tmp_path, "ES256", time.time())
    new_key(tmp_path, "EdDSA", time.time())

    assert "add --algorithm" in gateway("list", "--folder", tmp_path).output
    listed = gateway("list", "--folder", tmp_path, "--algorithm", "EdDSA").output
    assert [line.split()[-1] for line in sorted(listed.splitlines()[1:])].count(
        "signing"
    ) == 1
