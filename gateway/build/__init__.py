"""Compile a configuration into runtime objects.

Nothing here is opened and no network is used. What can be refused is refused here,
before the old configuration is given up.

| module | compiles |
| --- | --- |
| `runtime` | everything: rules, upstreams, pages, limits |
| `rules` | what decides about requests, without keys and connections |
| `upstreams` | each upstream: how it is addressed, its connections |
| `routes` | the route table |
| `token_profiles` | what each kind of token contains |
| `session_format` | how the sessions of an app are read |
| `ring` | the signing keys |
| `dns` | how host names are looked up |
"""
