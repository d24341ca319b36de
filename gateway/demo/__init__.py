"""The sample app, its API and the servers behind `gateway demo`.

| module | knows |
| --- | --- |
| `run` | what is started, in which order, and how it is stopped |
| `app` | the sample app: an ordinary web app with no code for the gateway |
| `api` | an API that lets PostgreSQL's row-level security decide |
| `embedded` | a Valkey server from a wheel, on a socket of its own |
| `postgres` | a PostgreSQL server from a wheel, likewise |
| `child` | a server process that ends with its parent |
"""
