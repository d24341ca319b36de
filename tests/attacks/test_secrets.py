"""No output repeats a secret: whatever form it has in the file, whatever is wrong.

A planted secret is made of chunks of letters that occur nowhere else, with the signs
between them that YAML and URLs give a meaning to. No chunk may be in any output.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args, get_origin
from urllib.parse import quote

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from gateway.cli import cli
from gateway.config.load import parse_config
from gateway.config.schema import Config
from gateway.config.secrecy import is_secret, secrets_of
from gateway.config.secret_values import Secret
from gateway.errors import ConfigError
from gateway.sessions.redis.url import parse_redis_url
from tests.faults.started import config_for, started
from tests.servers import Server, free_port, valkey_server
from tests.walk.harness import Gateway, RecordingUpstream, send_raw

CHUNK: Final = st.text("QXZJK", min_size=5, max_size=7)
SIGN: Final = st.sampled_from(
    list(" []@:/?#%&,{}'\"\\|>-*!$=~`") + ["", "%4", "$$", ": "]
)


@st.composite
def planted(draw: st.DrawFn) -> str:
    chunks = draw(st.lists(CHUNK, min_size=3, max_size=5))
    return "".join(chunk + draw(SIGN) for chunk in chunks[:-1]) + chunks[-1]


def chunks_of(secret: str) -> list[str]:
    return re.findall("[QXZJK]{5,}", secret)


def assert_hidden(output: str, secret: str) -> None:
    shown = [chunk for chunk in chunks_of(secret) if chunk in output]
    assert not shown, f"{shown} of {secret!r} is in:\n{output}"


def secret_fields(annotation: Any = Config, loc: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Every place of the schema whose type is Secret; a new field is one of them."""
    if annotation is Secret:
        yield loc
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield from secret_fields(field.annotation, (*loc, name))
    elif hasattr(annotation, "__metadata__"):
        yield from secret_fields(get_args(annotation)[0], loc)
    elif get_origin(annotation) is dict:
        yield from secret_fields(get_args(annotation)[1], (*loc, "any"))
    elif get_origin(annotation) is tuple:
        yield from secret_fields(get_args(annotation)[0], (*loc, 0))
    else:
        for one in get_args(annotation):
            yield from secret_fields(one, loc)


EXAMPLES: Final = int(os.environ.get("SECRETS_EXAMPLES", "120"))
"""More are tried by SECRETS_EXAMPLES=5000."""

FIELDS: Final = sorted(set(secret_fields()), key=str)

# What may follow a key, with the secret in it. Most are mistakes.
FORMS: Final = (
    " {s}",
    " '{s}'",
    ' "{s}"',
    ' "{s}',
    " '{s}",
    " [{s}, b]",
    " [{s}",
    " {{a: {s}}}",
    " {{{s}: a}}",
    " {{a: {s}",
    "\n{i}  {s}",
    "\n{i}{s}",
    "\n{i}'{s}'",
    "\n{i}{s}: a",
    "\n{i}  - {s}",
    "\n{i}- {s}",
    " |\n{i}  x\n{i}  {s}",
    " >-\n{i}  {s}\n{i}  x",
    " |\n{i}{s}",
    " &a {s}",
    " &{s} x",
    " *{s}",
    " !!str {s}",
    " !{s} x",
    " x # {s}",
    "\t{s}",
    " ${{NAME}}",
    " x${{NAME}}y",
    " ${{NAME:-{s}}}",
    " ${{NAME",
    " redis://:{s}@127.0.0.1:1/0",
    " 'redis://user:{s}@127.0.0.1:port/0'",
    " redis:/:{s}@127.0.0.1:1",
    " :{s}@127.0.0.1:1",
    " user:{s}@127.0.0.1:1",
    " 'rediss://:{s}@[::1/0'",
    " 'redis+sentinel://a,b/x?sentinel_password={s}'",
    " 'redis+cluster://:{s}@a,b/3'",
    " 'redis://127.0.0.1:1/0?password={s}'",
)


def document(loc: tuple[Any, ...], key: str, form: str, secret: str) -> str:
    """A configuration with a form of the secret at a place, and mistakes around it."""
    names = [str(part) for part in loc if not isinstance(part, int)]
    lines = ["version: 1", "log: {levle: info}"]
    for depth, name in enumerate(names[:-1]):
        lines.append("  " * depth + f"{name}:")
    indent = "  " * (len(names) - 1)
    value = form.replace("{{", "\0").replace("}}", "\1").replace("{i}", indent)
    value = value.replace("{s}", secret).replace("\0", "{").replace("\1", "}")
    lines.append(f"{indent}{key or names[-1]}:{value}")
    lines += [
        f"{indent}neighbour: 1",
        "upstreams: {app: {url: 'http://127.0.0.1:3000'}}",
        "routes: [{match: /**, rule: publc, upstream: app}]",
    ]
    return "\n".join(lines) + "\n"


def outputs(path: Path, secret: str) -> str:
    env = {"NAME": secret, "GATEWAY_DEBUG": "1"}
    texts = []
    for words in (
        ["check", "-c", str(path), "--offline"],
        ["check", "-c", str(path), "--offline", "--format", "json"],
        ["routes", "-c", str(path)],
        ["explain", "-c", str(path), "GET", "/x", "--as", "member"],
    ):
        result = CliRunner().invoke(cli, words, env=env)
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        texts.append(result.output)
    return "\n".join(texts)


def test_the_schema_has_the_secrets_that_are_known() -> None:
    assert {
        ("server", "admin_token"),
        ("redis", "url"),
        ("redis", "password"),
        ("sessions", "secrets", 0),
    } <= set(FIELDS)
    assert all(is_secret(loc) for loc in FIELDS)
    assert not is_secret(("server", "public_url"))
    assert is_secret(("server", "admin_tokn")), "it may be the secret, misspelt"


@given(secret=planted(), form=st.sampled_from(FORMS), data=st.data())
@settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_command_repeats_a_secret_whatever_its_form(
    tmp_path: Path, secret: str, form: str, data: st.DataObject
) -> None:
    loc = data.draw(st.sampled_from(FIELDS))
    key = data.draw(st.sampled_from(["", "misspelt", "pasword", "<<"]))
    path = tmp_path / "gateway.yaml"
    path.write_text(document(loc, key, form, secret))

    assert_hidden(outputs(path, secret), secret)


@given(secret=planted(), cut=st.integers(0, 400), junk=st.sampled_from("\"'[{:#|\t-"))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_is_broken_anywhere_shows_no_secret(
    tmp_path: Path, secret: str, cut: int, junk: str
) -> None:
    config = config_for(3000, f"redis://:{secret}@127.0.0.1:1/0", admin_token=secret)
    config["sessions"] = {"format": "express-session", "secrets": [secret, secret]}
    text = yaml.safe_dump(config, width=40, default_flow_style=cut % 2 == 0)
    path = tmp_path / "gateway.yaml"
    path.write_text(text[:cut] + junk + text[cut:])

    assert_hidden(outputs(path, secret), secret)


@given(secret=planted(), place=st.sampled_from(["file", "variable"]))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_secret_that_is_read_from_elsewhere_is_not_repeated(
    tmp_path: Path, secret: str, place: str
) -> None:
    (tmp_path / "secret").write_text(secret)
    where = "${file:secret}" if place == "file" else "${NAME}"
    for key in ("admin_token", "public_url", "listen", "workers", "admin"):
        path = tmp_path / "gateway.yaml"
        path.write_text(document(("server", "admin_token"), key, f" {where}", ""))
        assert_hidden(outputs(path, secret), secret)


@given(st.data(), planted())
@settings(max_examples=150)
def test_every_redis_url_that_is_accepted_is_the_one_that_is_used(
    data: st.DataObject, secret: str
) -> None:
    """What is refused is refused with its line, without the URL, and is never tried."""
    scheme = data.draw(
        st.sampled_from(
            ["redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "http", ""]
        )
    )
    rest = data.draw(
        st.sampled_from(
            ["h:1", "h:1/0", "h:1,i:2", "h:1,i:2/name", "[::1]:1", "[::1", "h:0", "",
             "h:99999", "h/x", "/run/r.sock", "/run/r.sock?db=1", "h?password=x"]
        )
    )  # fmt: skip
    slashes = data.draw(st.sampled_from(["://", ":/", ":", ""]))
    user = data.draw(st.sampled_from([f":{secret}@", f"u:{secret}@", ""]))
    url = scheme + slashes + user + rest
    raw = json.dumps(
        {"version": 1, "redis": {"url": url}, "upstreams": {"a": {"url": "http://a"}},
         "routes": [{"match": "/**", "rule": "public", "upstream": "a"}]}
    ).encode()  # fmt: skip
    try:
        loaded = parse_config(raw, path=Path("g.yaml"), env={"": ""})
    except ConfigError as error:
        assert_hidden(str(error), secret)
        lines = {problem.line for problem in error.problems}
        assert lines == {1}
        return

    address = loaded.config.redis.address
    # In a configuration "$$" stands for one "$".
    assert address == parse_redis_url(url.replace("$$", "$"))
    assert_hidden(f"{address} {address!r} {loaded!r} {loaded.config!r}", secret)
    if user:
        assert address.password in secrets_of(loaded.config)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("redis://:a b@h/0", "%20"),
        ("redis://:a%zz@h/0", "%25"),
        ("redis://:pass/word@h:x/0", "percent-encode"),
        ("redis://:a?b@h/0", "percent-encode"),
        ("redis://:é@h/0", "percent-encode"),
    ],
)
def test_a_password_that_has_to_be_percent_encoded_is_reported_as_such(
    tmp_path: Path, url: str, hint: str
) -> None:
    path = tmp_path / "gateway.yaml"
    text = document(("server", "public_url"), "", " http://a", "")
    path.write_text(text + f"redis:\n  url: '{url}'\n")

    result = CliRunner().invoke(cli, ["check", "-c", str(path), "--offline"])

    line = text.count("\n") + 2
    (reported,) = [one for one in result.stderr.splitlines() if f"yaml:{line}:8" in one]
    assert hint in reported
    assert "redis.password" in reported


@pytest.mark.parametrize("form", ["key", "url"])
def test_a_password_of_all_signs_opens_redis(tmp_path: Path, form: str) -> None:
    password = "QXZJK :/?#[]@%41&{}'\\|>-*!$=~`é"
    with valkey_server(tmp_path, "--requirepass", password) as locked:
        path = tmp_path / "gateway.yaml"
        config = config_for(3000, locked.url)
        if form == "key":
            config["redis"]["password"] = password.replace("$", "$$")
        else:
            userinfo = f":{quote(password, safe='')}@"
            config["redis"]["url"] = locked.url.replace("://", f"://{userinfo}")
        path.write_text(yaml.safe_dump(config))

        result = CliRunner().invoke(cli, ["check", "-c", str(path)])

    assert result.exit_code == 0, result.stderr
    assert_hidden(result.output, password)


@pytest.mark.parametrize(
    ("redis", "reported"),
    [
        ({"url": "embedded", "password": "x"}, "password has no effect"),
        (
            {"url": "redis://:a@h", "password": "x"},
            "redis.url already contains a password",
        ),
        (
            {"url": "redis://u:a@h", "username": "x"},
            "redis.url already contains a username",
        ),
        ({"url": "redis://h", "password": ""}, "expected text"),
    ],
)
def test_credentials_that_contradict_each_other_are_reported(
    tmp_path: Path, redis: dict[str, str], reported: str
) -> None:
    config = config_for(3000, "")
    config["redis"] = redis
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(config))

    result = CliRunner().invoke(cli, ["check", "-c", str(path), "--offline"])

    assert result.exit_code == 1
    assert reported in result.stderr


async def test_a_running_gateway_writes_no_secret(
    redis: Server, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    """Redis is away: its address is in every error."""
    secret = "QXZJK[QQXXZ]#ZZJJK"
    url = f"redis://u%23:{secret}@127.0.0.1:{free_port()}/0"
    config = config_for(upstream.port, url, admin_token="ZJKQX-ZJKQX-ZJKQX")
    config["log"] = {"level": "debug"}
    async with started(config, tmp_path) as running:
        await send_raw(
            running.port,
            b"GET /dashboard HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n"
            b"Cookie: gateway_session=" + b"A" * 43 + b"\r\n\r\n",
        )
        await running.logged("request failed")
        await send_raw(
            running.admin,
            b"GET /admin/sessions/ZJKQX HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Authorization: Bearer ZJKQX-ZJKQX-ZJKQX\r\n\r\n",
        )
    written = running.log.read_text() + running.err.read_text()

    assert_hidden(written.replace("/admin/sessions/ZJKQX", ""), secret)
    assert "ZJKQX-ZJKQX" not in written


async def test_a_start_that_fails_is_one_line(tmp_path: Path) -> None:
    config = config_for(1, "redis://:QXZJK[QQXXZ@127.0.0.1:1/0", listen="192.0.2.1:1")
    async with started(config, tmp_path, ready=False) as running:
        assert await running.ended() == 1

    written = running.log.read_text() + running.err.read_text()
    assert written.count("\n") == 1
    assert written.startswith("error: cannot listen on 192.0.2.1:1")


REQUESTS = [
    pytest.param(
        b"POST / HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\nQXZJKQX\r\n", id="a broken chunk size",
    ),
    pytest.param(
        b"POST / HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabcQXZJKQX", id="a broken chunk end",
    ),
    pytest.param(b"QXZJKQX\r\n\r\n", id="no request line"),
    pytest.param(b"GET /?QXZJKQX HTTP/1.1\r\nHost: gw.test\r\nQXZJKQX\r\n\r\n", id="no colon"),
    pytest.param(
        b"GET / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: QXZJKQX\r\n\r\n", id="length"
    ),
    pytest.param(
        b"GET / HTTP/1.1\r\nHost: gw.test\r\nCookie: gateway_session=QXZJKQX\r\n\r\n",
        id="a malformed cookie",
    ),
]  # fmt: skip


@pytest.mark.parametrize("raw", REQUESTS)
async def test_the_bytes_of_a_broken_request_are_not_in_the_log(
    gateway: Gateway, raw: bytes
) -> None:
    await send_raw(gateway.port, raw, half_close=True)

    written = json.dumps(await gateway.logged())
    assert "QXZJK" not in written
