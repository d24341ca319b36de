"""The configuration file: parsing, validation and typed values.

schema        names, defaults, descriptions
quantities    durations and sizes
addresses     listeners, DNS servers, networks
urls          origins, upstreams, links, providers
secret_values what is never shown: tokens, passwords, keys, the URL of Redis
values        text and paths
fields        HTTP values: headers, cookies, methods, hosts, tenants
patterns      the languages inside values: paths of routes, placeholders
diagnostic    errors that these raise
yaml_reader   YAML text to a document; yaml_text, yaml_errors: its text, its errors
document      plain data, with a place for everything
scalars       what an unquoted scalar means
variables     ${VAR}, ${VAR:-default}, ${file:/path} and $$
wording       error messages
checks/       checks across the file: references, conflicting keys
warnings      what is allowed but probably not intended
partial       the valid rest of a file that has errors
load          a path to a LoadedConfig, or all errors at once
snippet       the source line of a problem, with a caret and without secrets
reference     the JSON Schema and the manual page, made from the schema
"""
