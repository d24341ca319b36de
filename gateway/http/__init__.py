"""What a request says, in one spelling, and what may be believed of it.

target      the request-target, canonical or refused
host        the Host field, canonical or refused
headers     which fields are ours to set, and how a name is folded
forwarded   who the client is, behind proxies we trust
websocket   the opening handshake
head        all of it: `read_head` makes a RequestHead or a BadRequest
navigation  is a person looking at this, does it come from another site
return_to   where a browser may be sent back to
"""
