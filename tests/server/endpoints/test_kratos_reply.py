"""Errors and answers as Kratos words them."""

import orjson
import pytest

from gateway.pages.reply import Reply
from gateway.server.endpoints.kratos_reply import json_response, refused, wants_json
from tests.http.heads import REQUEST_ID, head


def test_an_error_has_the_members_of_kratos() -> None:
    reply = refused(404, "nothing here", REQUEST_ID)

    assert reply.status == 404
    assert orjson.loads(reply.body) == {
        "error": {
            "code": 404,
            "status": "Not Found",
            "request": REQUEST_ID,
            "reason": "nothing here",
            "message": "Unable to locate the resource",
        }
    }


def test_an_error_that_has_an_id_contains_it() -> None:
    reply = refused(
        401,
        "none",
        REQUEST_ID,
        error_id="session_inactive",
        details={"reason": "session_expired"},
        members={"CredentialsMissing": False},
    )

    document = orjson.loads(reply.body)
    assert document["CredentialsMissing"] is False
    assert document["error"]["id"] == "session_inactive"
    assert document["error"]["details"] == {"reason": "session_expired"}
    assert document["error"]["message"] == (
        "request does not have a valid authentication session"
    )


@pytest.mark.parametrize("reply", [json_response({}), refused(400, "no", REQUEST_ID)])
def test_responses_for_one_user_are_not_cached(reply: Reply) -> None:
    assert "no-store" in dict(reply.headers)["Cache-Control"]
    assert dict(reply.headers)["Content-Type"].startswith("application/json")


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        pytest.param("text/html,application/json;q=0.9,*/*;q=0.8", False, id="both"),
        pytest.param("text/html,application/xhtml+xml", False, id="a browser"),
        pytest.param("application/jsonp", False, id="alike"),
        pytest.param("*/*", False, id="anything"),
        pytest.param("", False, id="nothing"),
        pytest.param("application/json, text/plain, */*", True, id="the SDK"),
        pytest.param("Application/JSON;q=1", True, id="case"),
    ],
)
def test_json_is_for_who_names_it(accept: str, json: bool) -> None:
    assert wants_json(head(("Accept", accept))) is json
