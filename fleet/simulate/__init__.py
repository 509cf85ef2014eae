"""A pool on paper: traces of arrivals through the real rules of core/, without processes or a
queue.

traces.py     arrivals by second, and the built-in shapes       service.py   how long jobs take, seeded
queue.py      a queue on paper, with counts that lag and err    world.py     the events and the clock
hosts.py      a host: dispatchers, polls, grants                policies.py  who decides the size: fleet, others
results.py    what is measured                                  tables.py, picture.py  how it is shown
"""
