"""Parses and validates the head of a request. Pure.

target      the request target in canonical form
host        the Host field in canonical form
headers     reserved header names, and the normal form of a name
forwarded   the address of the client, as trusted proxies report it
websocket   the opening handshake
lines       an ordinary head by its lines, each known or judged once
head        `read_head` returns a RequestHead or a BadRequest
navigation  page navigation, cross-site and cross-origin requests
response_fields  the fields of a response, and their roles
return_to   validation of the addresses that a browser may be redirected to
"""
