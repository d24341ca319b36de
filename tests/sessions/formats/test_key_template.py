"""Names of keys: hostile rows first."""

import pytest

from gateway.sessions.formats.key_template import (
    acl_pattern,
    parse_id_key,
    parse_path_key,
)


@pytest.mark.parametrize(
    "template",
    [
        "sess:",
        "{id}{id}",
        "{sha1:id}",
        "{id",
        "sess:{}",
        "sess:{ID}",
        "sess:\n{id}",
        "sess:é{id}",
        "gateway:session:{sha256:id}",
        "gateway:{id}",
        "gate{id}",
        "g{id}",
        "x" * 129 + "{id}",
        "sess:{$.userId}",
    ],
)
def test_a_key_template_that_could_name_anything_is_refused(template: str) -> None:
    with pytest.raises(ValueError):
        parse_id_key(template, prefix="")


def test_keys_are_named_by_id_hash_or_path() -> None:
    plain = parse_id_key("{prefix}s:{id}:x", prefix="app:")
    hashed = parse_id_key("2::{sha256:id}", prefix="")
    second = parse_path_key("{prefix}user:{$.a.b}", prefix="app:")

    assert plain.of("ID", "HASH") == "app:s:ID:x"
    assert hashed.of("ID", "HASH") == "2::HASH"
    assert second.of("7") == "app:user:7"
    assert parse_id_key("{prefix}{id}", prefix="").of("ID", "HASH") == "ID"
    with pytest.raises(ValueError):
        parse_path_key("user:{id}", prefix="")


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        ("sess:{id}", "%R~sess:*"),
        ("a*b?[c]\\{id}:x", "%R~a\\*b\\?\\[c\\]\\\\*:x"),
        ("{id}", "%R~*"),
    ],
)
def test_the_acl_rule_covers_these_keys_and_no_others(template: str, rule: str) -> None:
    assert acl_pattern(parse_id_key(template, prefix="")) == rule
