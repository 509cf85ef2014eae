"""A mutation run: small faults are put into the code, and the tests must see each.

See `__main__.py`.
"""
