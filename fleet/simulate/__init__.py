"""A simulated pool: traces of arrivals through the real rules of core/, without processes.

traces.py               arrivals by second, and the built-in shapes
service.py              how long jobs take, seeded
queue.py                a queue with counts that lag and err
hosts.py                a host: dispatchers, polls, grants
world.py                the events and the clock
policies.py, rivals.py  how the size is decided: fleet's rule, other systems' rules
optimum.py              what a pool that knows the future would need
results.py              what is measured
tables.py, picture.py   how it is shown

shared.py               several queues share a pool of a fixed size
queue_rows.py           what is measured of each, and how it is shown
"""
