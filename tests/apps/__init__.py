"""Apps of other people behind the gateway, set up as docs/apps/ shows.

A test runs what the page shows: its files, its command and its gateway.yaml, with
other ports. What is small is part of `make test`; `make test-apps` installs and
runs the others as well.
"""
