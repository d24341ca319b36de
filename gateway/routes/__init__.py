"""Which route a request takes.

model    Route and what it asks for
pattern  the language of hosts and paths
trie     a path finds the routes of one host
forest   all hosts, and the faults of routes that cannot stand
table    RouteTable: match, explain
compile  the table that a configuration describes
"""
