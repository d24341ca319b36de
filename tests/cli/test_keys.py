"""`gateway keys`: a rotation, as somebody does it by hand."""

import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from gateway.tokens.keys import new_key
from gateway.tokens.ring import CLOCK_LEEWAY, PUBLICATION_DELAY

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
    assert "`embedded`" in answer.output


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("list",), 1, "no ES256 key; run: gateway keys new"),
        (("retire", "x"), 1, "no ES256 key"),
        (("new", "--algorithm", "none"), 2, "'none' is not one of"),
        (("retire",), 2, "Missing argument 'KID'"),
    ],
)
def test_what_cannot_be_done_says_why(
    tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    answer = gateway(*arguments, "--folder", tmp_path)

    assert answer.exit_code == code
    assert says in answer.output


def test_a_first_key_signs_at_once(tmp_path: Path) -> None:
    made = gateway("new", "--folder", tmp_path / "keys")
    listed = gateway("list", "--folder", tmp_path / "keys")

    assert made.exit_code == 0
    assert "signs at once" in made.output
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

    assert "published first, and signs from" in made.output
    assert "Reload" in made.output
    assert "next (signs from" in listed.output.splitlines()[1]
    assert listed.output.splitlines()[2].endswith("signing")


def test_the_only_key_stays_whatever_is_said(tmp_path: Path) -> None:
    key = new_key(tmp_path, "ES256", time.time() - 9_000)

    for force in ((), ("--force",)):
        answer = gateway("retire", "--folder", tmp_path, key.kid, *force)
        assert answer.exit_code == 1
        assert "the only key" in answer.output


def test_a_key_whose_tokens_live_stays_until_a_time_that_is_told(
    tmp_path: Path,
) -> None:
    now = time.time()
    old = new_key(tmp_path, "ES256", now - 9_000)
    new_key(tmp_path, "ES256", now)
    safe = time.gmtime(int(now) + PUBLICATION_DELAY + 60 + CLOCK_LEEWAY)

    answer = gateway("retire", "--folder", tmp_path, old.kid)

    assert answer.exit_code == 1
    assert f"safe from {time.strftime('%Y-%m-%dT%H:%M:%SZ', safe)}" in answer.output
    assert gateway("retire", "--folder", tmp_path, old.kid, "--force").exit_code == 0


def test_the_key_that_signs_stays_while_no_younger_one_is_there(
    tmp_path: Path,
) -> None:
    now = time.time()
    new_key(tmp_path, "ES256", now - 9_000)
    signing = new_key(tmp_path, "ES256", now - 5_000)

    answer = gateway("retire", "--folder", tmp_path, signing.kid)

    assert answer.exit_code == 1
    assert "it signs" in answer.output


def test_a_key_that_nobody_needs_goes(tmp_path: Path) -> None:
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
    assert "2 keys begin with" in answer.output


def test_keys_of_several_kinds_need_a_choice(tmp_path: Path) -> None:
    new_key(tmp_path, "ES256", time.time())
    new_key(tmp_path, "EdDSA", time.time())

    assert "add --algorithm" in gateway("list", "--folder", tmp_path).output
    listed = gateway("list", "--folder", tmp_path, "--algorithm", "EdDSA").output
    assert [line.split()[-1] for line in sorted(listed.splitlines()[1:])].count(
        "signing"
    ) == 1
