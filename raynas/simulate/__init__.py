"""Searches in virtual time over a table of measured architectures: to compare strategies, and to prove them.

The same searcher and stopping-rule objects as in a real search run over any number of virtual workers.

>>> from raynas.simulate import read_table, simulate
>>> found = simulate(factory, read_table("table.parquet"), space="nasbench201", metric="test_accuracy", trials=100)
>>> found.after(100).mean()
"""

from raynas.simulate.candidates import TableSpace
from raynas.simulate.faults import Faults
from raynas.simulate.runs import simulate
from raynas.simulate.spaces import named_space, space_of_table
from raynas.simulate.table import Table, read_table, table_of_history
from raynas.simulate.trajectories import Trajectories, write

__all__ = [
    "Faults",
    "Table",
    "TableSpace",
    "Trajectories",
    "named_space",
    "read_table",
    "simulate",
    "space_of_table",
    "table_of_history",
    "write",
]
