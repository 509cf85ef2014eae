"""Celery, dramatiq and rq beside fleet: installed in environments of their own, fed with the same
jobs, measured by the same means.
"""
