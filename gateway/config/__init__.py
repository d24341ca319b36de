"""What the operator wrote, read once into values that are legal.

schema      what may be said: names, defaults, descriptions
values      how one value is spelled: durations, sizes, addresses, URLs, secrets
fields      the words of HTTP: headers, cookies, methods, hosts, tenants
patterns    the languages inside values: paths of routes, placeholders
diagnostic  what these raise
document    YAML text to plain data, with a place for everything
scalars     what an unquoted scalar means
variables   ${VAR}, ${VAR:-default}, ${file:/path} and $$
wording     a validator's complaint, said for people
checks      what only the whole can tell: names that must exist, keys that exclude
warnings    what is allowed but probably not intended
partial     the valid rest of a file that has errors
load        a path to a LoadedConfig, or every mistake at once
snippet     the source line of a problem, with a caret and without secrets
reference   the JSON Schema and the manual page, made from the schema
"""
