"""Every module has a test file of its own: gateway/x/y.py, tests/x/test_y.py.

So who changes a module knows where its tests are, and who adds one is asked for
them. What is not seen by itself is in the table below, with what it is seen in.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Elsewhere:
    """Modules without a test file of their own: why, and where they are tested."""

    why: str
    tests: str
    modules: tuple[str, ...]


ELSEWHERE = (
    Elsewhere(
        "they are the process, which is seen from outside",
        "tests/walk/test_process.py",
        ("__main__", "app", "build/process", "server/open_listeners", "server/admin/health", "server/admin/server", "workers/__init__")
        + ("workers/failure", "workers/parent", "workers/supervisor")
        + ("workers/watching", "workers/worker"),
    ),
    Elsewhere(
        "the session API and what guards it are one thing to its callers",
        "tests/server/admin/test_sessions.py",
        ("server/admin/application", "server/admin/problem"),
    ),
    Elsewhere(
        "it is what the reporters are made with, and does nothing",
        "tests/server/reporting/test_reporter.py",
        ("server/reporting/channels",),
    ),
    Elsewhere(
        "how a stream was let in is what it is judged by again",
        "tests/server/test_reevaluation.py",
        ("server/admitted",),
    ),
    Elsewhere(
        "what comes before a connection is seen from outside",
        "tests/attacks/test_limits_listeners.py",
        ("server/handshakes",),
    ),
    Elsewhere(
        "what a store of an app's sessions asks and remembers is seen at the store",
        "tests/sessions/external/test_store.py",
        (
            "sessions/external/query",
            "sessions/external/cache",
            "sessions/external/notes",
        ),
    ),
    Elsewhere(
        "a provider leads a browser there",
        "tests/oidc/test_initiated_sign_in.py",
        ("server/endpoints/initiated_sign_in",),
    ),
    Elsewhere(
        "a program sends it, and a provider ends it",
        "tests/oidc/test_bearer_walk.py",
        ("server/provider_tokens",),
    ),
    Elsewhere(
        "they start other programs, and are seen in a whole demo",
        "tests/demo/test_run.py",
        ("cli/demo", "demo/__main__", "embedded/child"),
    ),
    Elsewhere(
        "a person signs in with the provider of the demo",
        "tests/browser/test_demo_oidc.py",
        ("demo/provider_process",),
    ),
    Elsewhere(
        "the accounts that one signs in with at the sample app",
        "tests/demo/test_app.py",
        ("demo/accounts",),
    ),
    Elsewhere(
        "what it restores is seen by a client",
        "tests/walk/test_upstream_apps.py",
        ("server/restored_prefix",),
    ),
    Elsewhere(
        "what two groups of commands share is seen in both",
        "tests/cli/test_sessions.py",
        ("cli/records", "cli/session_table"),
    ),
    Elsewhere(
        "the commands of the group", "tests/cli/test_group.py", ("cli/__init__",)
    ),
    Elsewhere(
        "what `gateway check` finds is told by it",
        "tests/cli/test_check.py",
        ("cli/findings", "cli/provider_findings", "sessions/redis/diagnosis"),
    ),
    Elsewhere(
        "parts of one reader: what a key means is seen in a whole file",
        "tests/config/test_load.py",
        ("config/checks/__init__", "config/checks/accept", "config/checks/connections", "config/checks/listeners")
        + ("config/checks/names", "config/checks/providers", "config/checks/routes")
        + ("config/checks/sessions", "config/checks/tokens")
        + ("config/diagnostic", "config/warnings", "config/fields")
        + ("config/patterns", "config/scalars", "config/schema", "config/variables")
        + ("config/partial", "config/wording", "config/types", "config/sections/server")
        + ("config/sections/sessions", "config/sections/sign_in")
        + ("config/sections/tokens", "config/sections/upstreams")
        + ("config/sections/routes", "config/sections/providers"),
    ),
    Elsewhere(
        "how a document is read", "tests/config/test_document.py",
        ("config/yaml_errors", "config/yaml_reader", "config/yaml_text"),
    ),
    Elsewhere(
        "a record is read and written", "tests/sessions/test_record.py", ("sessions/record_json",),
    ),
    Elsewhere("what is written of each event", "tests/observe/test_audit.py", ("observe/audit_events",)),
    Elsewhere("a template and what it parses to", "tests/tokens/test_template.py", ("tokens/template_parser",)),
    Elsewhere(
        "what the command prints", "tests/cli/test_explain.py", ("cli/explanation", "cli/example_request"),
    ),
    Elsewhere(
        "parts of an answer", "tests/spine/test_answers.py", ("spine/challenges", "spine/sign_in_pages"),
    ),
    Elsewhere(
        "a push of the store is seen at what it ends", "tests/walk/test_websocket.py", ("server/store_watch",),
    ),
    Elsewhere(
        "the events that a reporter gets", "tests/server/reporting/test_requests.py", ("server/reporting/audited",),
    ),
    Elsewhere("a family and its endpoint", "tests/authz/test_families.py", ("authz/mode",)),
    Elsewhere(
        "one table: what each validator accepts and refuses", "tests/config/test_values.py",
        ("config/addresses", "config/quantities", "config/secret_values", "config/urls"),
    ),
    Elsewhere(
        "what a plan holds", "tests/spine/test_planned.py", ("spine/session_plan",)
    ),
    Elsewhere(
        "a value that read_head gives", "tests/http/test_head.py", ("http/refusal",)
    ),
    Elsewhere(
        "what pages of other origins may read is seen in what they get",
        "tests/server/endpoints/test_token.py",
        ("server/endpoints/cross_origin",),
    ),
    Elsewhere(
        "what a sign-in may say is seen in whole sign-ins",
        "tests/server/test_sign_in_headers.py",
        ("server/sign_in_members",),
    ),
    Elsewhere(
        "what is asked of a request's body", "tests/proxy/test_upstream.py",
        ("proxy/upload",),
    ),
    Elsewhere(
        "an answer is read from a connection", "tests/proxy/test_streams.py", ("proxy/response", "proxy/connection_manager")
    ),
    Elsewhere(
        "opening a connection is seen at what it opens", "tests/faults/test_dns.py",
        ("proxy/dial", "sessions/redis/names"),
    ),
    Elsewhere(
        "what requests meet is seen by sending them", "tests/faults/test_upstreams.py",
        ("proxy/ejection",),
    ),
    Elsewhere("what a server may send", "tests/proxy/test_unusual.py", ("proxy/extended_chunks",)),
    Elsewhere("any bytes, in any chopping", "tests/proxy/test_upstream_connection.py", ("proxy/chunks",)),
    Elsewhere("the values of the table", "tests/build/test_routes.py", ("routes/model",)),
    Elsewhere("the trees in the table", "tests/routes/test_table.py", ("routes/index",)),
    Elsewhere(
        "the way of a request is seen through real sockets",
        "tests/walk/test_decisions.py",
        ("server/pipeline", "server/read_request"),
    ),
    Elsewhere(
        "what a front proxy is answered is seen through real sockets",
        "tests/walk/test_authz.py",
        ("server/authz/decisions",),
    ),
    Elsewhere(
        "bytes that pass", "tests/walk/test_streaming.py", ("server/forward", "server/sending", "server/streaming")
    ),
    Elsewhere(
        "who guesses, and who is not to suffer for it, is seen through real sockets",
        "tests/attacks/test_guessing.py",
        ("server/guessing", "server/sign_in_posts"),
    ),
    Elsewhere("what goes wrong on the way", "tests/walk/test_faults.py", ("server/request_errors",)),
    Elsewhere(
        "what a client's connection may cost", "tests/walk/test_limits.py",
        ("server/early_response", "server/listener", "server/client_connection", "server/exchange"),
    ),
    Elsewhere("a body that is whole", "tests/server/test_request_reader.py", ("server/payload",)),
    Elsewhere(
        "a tunnel between two sockets", "tests/walk/test_websocket.py", ("server/websocket",)
    ),
    Elsewhere(
        "an app, a store and a browser have to agree",
        "tests/walk/test_sign_in.py",
        ("server/apply_sign_in_headers",),
    ),
    Elsewhere(
        "the clock and the random numbers of a request",
        "tests/server/test_context.py",
        ("server/system",),
    ),
    Elsewhere(
        "what is built, as values", "tests/build/test_runtime.py",
        ("server/runtime", "spine/ruleset", "build/rules", "build/upstreams")
        + ("build/ring", "build/dns"),
    ),
    Elsewhere(
        "the table of the gateway's own paths",
        "tests/server/endpoints/test_endpoints.py",
        ("server/endpoints/__init__", "spine/local_paths"),
    ),
    Elsewhere(
        "a cookie becomes a credential", "tests/server/test_caller.py", ("spine/credential",)
    ),
    Elsewhere(
        "what an evaluation returns",
        "tests/spine/test_evaluate.py",
        ("spine/conclude", "spine/outcome"),
    ),
    Elsewhere(
        "what is open after a reload", "tests/server/test_reevaluation.py", ("spine/reconsider",)
    ),
    Elsewhere(
        "one suite for every store",
        "tests/contract/test_session_store.py",
        ("sessions/store", "sessions/redis/record_keys"),
    ),
    Elsewhere(
        "the store of a command is seen in the command",
        "tests/cli/test_app_sessions.py",
        ("cli/stores",),
    ),
    Elsewhere(
        "parts of the store on Redis",
        "tests/sessions/redis/test_store.py",
        (
            "sessions/redis/client",
            "sessions/redis/servers",
            "sessions/redis/session_index",
            "sessions/redis/session_endings",
            "sessions/redis/scan",
            "sessions/redis/watch",
            "sessions/redis/subscription",
            "sessions/redis/ending",
        ),
    ),
    Elsewhere(
        "marks are what ends tokens",
        "tests/sessions/redis/test_token_ends.py",
        ("sessions/redis/marks",),
    ),
    Elsewhere(
        "what a change of the server does is seen with real servers",
        "tests/faults/test_failover.py",
        (
            "sessions/redis/supervisor",
            "sessions/redis/sentinel",
            "sessions/redis/sentinel_link",
            "sessions/redis/hold",
            "sessions/redis/cluster_hold",
            "sessions/redis/endings",
            "sessions/redis/connections",
        ),
    ),
    Elsewhere(
        "an address that leads to another server has two of them",
        "tests/faults/test_exchange.py",
        ("sessions/redis/address",),
    ),
    Elsewhere(
        "Redis Cluster has to be there",
        "tests/sessions/redis/test_topologies.py",
        ("sessions/redis/cluster", "sessions/redis/connect", "sessions/redis/library_internals"),
    ),
    Elsewhere(
        "how the members of a record are read",
        "tests/sessions/test_record.py",
        ("sessions/members", "sessions/timestamps"),
    ),
    Elsewhere(
        "what a provider answers is seen in a whole sign-in, with a hostile one",
        "tests/oidc/test_provider.py",
        (
            "oidc/authorization",
            "oidc/client",
            "oidc/discovery",
            "oidc/settings",
            "oidc/signed_in",
            "oidc/token",
            "server/endpoints/sign_in",
            "server/endpoints/sign_in_callback",
            "server/endpoints/signed_out",
            "server/endpoints/backchannel_logout",
            "server/endpoints/frontchannel_logout",
        ),
    ),
    Elsewhere(
        "a running session is renewed through real sockets, with a real Redis",
        "tests/oidc/test_membership_walk.py",
        ("server/renewing", "server/refresh_tokens", "sessions/renewals", "sessions/redis/renewals"),
    ),
    Elsewhere(
        "what a token needs of a session", "tests/tokens/test_minter.py", ("tokens/subject",)
    ),
)  # fmt: skip
NAMED = {module: row for row in ELSEWHERE for module in row.modules}


def modules() -> list[str]:
    """Name what has code: "x/y", and "x/__init__" where a package defines something."""
    found = []
    for file in sorted((ROOT / "gateway").rglob("*.py")):
        name = file.relative_to(ROOT / "gateway").with_suffix("").as_posix()
        if not name.endswith("__init__") or _defines(file):
            found.append(name)
    return found


def _defines(file: Path) -> bool:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        for node in body
    )


def own_tests(module: str) -> Path:
    folder, _, name = module.rpartition("/")
    return ROOT / "tests" / folder / f"test_{name}.py"


@pytest.mark.parametrize("module", modules())
def test_a_module_has_its_tests(module: str) -> None:
    own = own_tests(module)

    if module in NAMED and own.is_file():
        pytest.fail(f"{own} is there: take {module} off the table", pytrace=False)
    if module not in NAMED and not own.is_file():
        pytest.fail(f"gateway/{module}.py: write {own}", pytrace=False)


@pytest.mark.parametrize("row", ELSEWHERE, ids=lambda row: row.tests)
def test_what_is_tested_elsewhere_is_there_and_so_are_its_tests(row: Elsewhere) -> None:
    assert (ROOT / row.tests).is_file()
    assert set(row.modules) <= set(modules())


def test_no_module_is_named_twice() -> None:
    assert len(NAMED) == sum(len(row.modules) for row in ELSEWHERE)
