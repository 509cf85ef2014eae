"""Every exit status that a process of fleet ends with, or gives a meaning to.

Of the program the README's table tells them to people; its commands other than `fleet start` use
DONE, NO, USAGE and QUEUE_UNUSABLE.
"""

DONE = 0  # of any process: it has done what it should

# The program
FAULT = 1  # of fleet itself; of its other processes too
NO = 1  # of the commands that ask: no
USAGE = 2
UNSTABLE = 3  # the pool could not keep its dispatchers alive
APP_UNUSABLE = 4
QUEUE_UNUSABLE = 5  # and a restart does not help
ENDED_BADLY = 6  # --until-empty ended, and a message ended badly
KILLED = 7  # with work in hand
UNCONFIRMED = 8  # every job has finished, and deletes of some were not confirmed
QUEUE_LATE = 69  # EX_UNAVAILABLE: the queue cannot be used yet

# The processes of a pool
HOST_SHORT = 71  # EX_OSERR: of a dispatcher for which the host had too little of something
CUT_OFF = 72  # EX_OSFILE: of a template whose import has closed its way to the master
# Of a trial import that came to its end; not 0, which an import that ends its process may say as
# well.
IMPORTED = 79
NOT_EXECUTED = 127  # as shells say it: the program could not be begun

# A job, and what else runs user code
FAILED = 1
REJECT = 65  # EX_DATAERR: the job rejects its message
RETRY = 75  # EX_TEMPFAIL: the job asks for a retry
TRUNCATED = 255  # the job has left with a number of which only the low byte, 0, would arrive

# Any program: this and a signal's number says that it has ended because of it
BY_SIGNAL = 128
