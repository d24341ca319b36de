"""Fault tests: a steady load with an oracle, and one row for each fault.

`python -m tests.faults` lists the rows, `python -m tests.faults ROW` runs one in
its long form, and `test_rows.py` runs the short form of each.
"""
