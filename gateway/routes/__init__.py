"""Route matching.

model    Route and what it asks for
pattern  the language of hosts and paths
trie     a path finds the routes of one host
index    one tree per host, and diagnostics of invalid routes
table    RouteTable: match, explain
compile  the table that a configuration describes
"""
