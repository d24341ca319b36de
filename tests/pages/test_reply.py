from gateway.pages.reply import Reply, no_body


def test_no_body_is_a_status_and_headers_alone() -> None:
    """A 304, a 204 or a redirect carries nothing."""
    reply = no_body(304, (("ETag", '"x"'),))

    assert reply == Reply(status=304, headers=(("ETag", '"x"'),), body=b"")
