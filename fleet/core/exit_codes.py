"""The exit statuses of `fleet start`, and of a process of its own; the README's table tells them to
people.
"""

DONE = 0
FAULT = 1  # of fleet itself
NO = 1  # of the commands that ask: no
USAGE = 2
UNSTABLE = 3  # the pool could not keep its dispatchers alive
APP_UNUSABLE = 4
QUEUE_UNUSABLE = 5  # and a restart does not help
ENDED_BADLY = 6  # --until-empty ended, and a message ended badly
KILLED = 7  # with work in hand
UNCONFIRMED = 8  # every job has finished, and deletes of some were not confirmed
BY_SIGNAL = 128  # and a signal's number: ended because of it
QUEUE_LATE = 69  # EX_UNAVAILABLE: the queue cannot be used yet
NOTHING_TO_BE_HAD = 71  # EX_OSERR: of a dispatcher for which the host had too little of something
CUT_OFF = 72  # EX_OSFILE: of a template whose import has closed its way to the master
# Of a trial import that came to its end; not 0, which an import that ends its process may say as
# well.
LOADED = 79
