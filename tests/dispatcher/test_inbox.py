"""What a dispatcher is told from its beginning, in a process of its own, whose signals it takes."""

import os
import subprocess
import sys

PROGRAM = """
import subprocess, sys
from dataclasses import replace
from fleet.dispatcher.inbox import Inbox
from fleet.ipc import channel
from tests.support.dispatcher_world import PLAN
gone = subprocess.Popen([sys.executable, "-c", ""])
gone.wait()
ours, theirs = channel.make_pair()
inbox = Inbox(replace(PLAN, master=gone.pid), ours, lambda _: None)
inbox.wait(0)
print(inbox.orphan, inbox.leaving, inbox.drain)
"""

GRANTED = """
import os
from dataclasses import replace
from fleet.core.protocol import Grant
from fleet.dispatcher.inbox import Inbox
from fleet.ipc import channel
from tests.support.dispatcher_world import PLAN

master, end = channel.make_pair()
inbox = Inbox(replace(PLAN, master=os.getppid()), channel.Channel(end), lambda _: None)
master.send(Grant(10, 1.0, 7))
inbox.wait(0)
print(inbox.granted, inbox.longest, inbox.queue)
"""

LONGEST = """
import subprocess, sys
from dataclasses import replace
from fleet.dispatcher import inbox
from fleet.ipc import channel
from tests.support.dispatcher_world import CONFIG, PLAN
from tests.support.queues import one_queue

inbox.now = lambda: 1000.0
gone = subprocess.Popen([sys.executable, "-c", ""])
gone.wait()
slow = replace(CONFIG, exit_timeout=300.0)
queues = [queue for each in (CONFIG, slow, CONFIG) for queue in one_queue(each)]
ours, theirs = channel.make_pair()
alone = inbox.Inbox(replace(PLAN, master=gone.pid, queues=queues), ours, lambda _: None)
alone.wait(0)
print(alone.ends_at == 1000.0 + slow.longest_stop)
"""


def test_a_master_that_has_died_before_it_could_be_watched() -> None:
    """The dispatcher has just been told apart from its template; nobody else will tell it."""
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert told.stdout == "True True 40.0\n", told.stderr


def test_a_grant_says_how_much_of_which_queue_and_for_how_long() -> None:
    told = subprocess.run(
        [sys.executable, "-c", GRANTED],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert told.stdout == "10 1.0 7\n", told.stderr


def test_whoever_goes_on_alone_has_the_time_of_the_slowest_queue() -> None:
    told = subprocess.run(
        [sys.executable, "-c", LONGEST],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert told.stdout == "True\n", told.stderr
