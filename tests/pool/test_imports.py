"""What an import does to its process does not act in fleet's own; or the app is refused by name,
with the cure.

Each app is a few lines that are run before its job is defined. Its job runs twice, so that it is
seen that a dispatcher goes on; jobs are as the import has left them.
"""

import json
import re
from itertools import chain
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.pool import Expected, Home, Pool, StartPool
from tests.support.servers import EMPTY, LiveQueue

LOUD = Expected(noise=True)
NONE = Expected(exit=4, noise=True, ledger=False, kills=frozenset({"helper.died"}))

IMMUNE = {
    "socket time-out": "import socket; socket.setdefaulttimeout(0.001)",
    "select": "import select; del select.epoll, select.poll",
    "json": "import json; json.loads = json.dumps = None; json.JSONDecoder.decode = None",
    "json in place": """
        import json
        def refuse(*_, **__): raise ValueError
        json.loads.__code__ = json.decoder.JSONDecoder.decode.__code__ = refuse.__code__
        json.dumps.__kwdefaults__['indent'] = 4
        """,
    "json's own objects": """
        import json
        json._default_encoder.item_separator, json._default_decoder.parse_float = ';', None
        """,
    "struct": "import struct; struct.pack = struct.unpack = None",
    "recursion": "import sys; sys.setrecursionlimit(60)",
    "umask": "import os; os.umask(0o777)",
    "directory": "import os; os.chdir('/proc/self')",
    "arguments": "import sys; sys.argv[:] = ['x', '--help']",
    "path": "import sys; sys.path.clear(); sys.meta_path.clear(); sys.path_hooks.clear()",
    "path replaced": "import sys; sys.path = []",
    "environment": """
        import os
        os.environ.update(AWS_ACCESS_KEY_ID='', AWS_PROFILE='nobody', TZ='Asia/Tokyo', PATH='')
        """,
    "environment cleared": "import os; os.environ.clear()",
    "environment replaced": "import os; os.environ = dict(os.environ)",
    "proxy": """
        import os
        os.environ.update(http_proxy='http://127.0.0.1:9', HTTPS_PROXY='http://127.0.0.1:9')
        """,
    "locale": "import locale; locale.setlocale(locale.LC_ALL, 'C')",
    "warnings": "import warnings; warnings.simplefilter('error')",
    "decimal": """
        import decimal
        decimal.getcontext().prec = 1
        decimal.getcontext().traps[decimal.Inexact] = True
        """,
    "timers": "import signal; [signal.setitimer(which, 0.2, 0.2) for which in (0, 1, 2)]",
    "handlers": """
        import signal, os
        [signal.signal(n, lambda *_: os._exit(9)) for n in (10, 12, 15, 17, 23, 28, 40)]
        """,
    "ignored": """
        import signal
        [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 10, 12, 13, 15, 17, 39)]
        """,
    "mask": "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))",
    "wake-up": """
        import signal, os
        r, w = os.pipe()
        os.set_blocking(w, False)
        signal.set_wakeup_fd(w)
        """,
    "few files": """
        import resource as r
        r.setrlimit(r.RLIMIT_NOFILE, (20, r.getrlimit(r.RLIMIT_NOFILE)[1]))
        """,
    "no processes": """
        import resource as r
        r.setrlimit(r.RLIMIT_NPROC, (0, r.getrlimit(r.RLIMIT_NPROC)[1]))
        """,
    "small files": """
        import resource as r
        r.setrlimit(r.RLIMIT_FSIZE, (65536, r.getrlimit(r.RLIMIT_FSIZE)[1]))
        """,
    "no core": "import resource as r; r.setrlimit(r.RLIMIT_CORE, (0, 0))",
    "trace": "import sys; sys.settrace(lambda *_: None); sys.setprofile(lambda *_: None)",
    "profiler": "import cProfile; profile = cProfile.Profile(); profile.enable()",
    "at a fork": """
        import os
        os.register_at_fork(before=lambda: end(), after_in_child=lambda: end())
        """,
    "a fork's state": """
        import json, os, socket
        def spoil():
            socket.setdefaulttimeout(1e-3)
            json.__dict__.pop('loads', None)
        os.register_at_fork(after_in_child=spoil)
        """,
    "audits": "import sys; sys.addaudithook(lambda *_: end())",
    "collector": """
        import gc
        gc.disable()
        gc.set_debug(gc.DEBUG_LEAK)
        gc.set_threshold(1)
        gc.callbacks.append(exit)
        """,
    "switching": "import sys; sys.setswitchinterval(60)",
    "builtins": """
        import builtins
        replace(builtins, 'open', 'len', 'print', 'isinstance', 'getattr', 'sorted', 'min')
        """,
    "clocks": "import time; time.time = time.monotonic = time.clock_gettime = lambda *_: 0.0",
    "os": """
        import os
        replace(os, 'read', 'open', 'close', 'write', 'getpid', 'getppid', 'urandom', 'fstat')
        """,
    "fork": "import os; os.fork = os.waitpid = os.pidfd_open = None",
    "sockets": """
        import socket, http.client
        socket.socket.connect = http.client.HTTPConnection.request = None
        """,
    "threading": """
        import threading
        replace(threading, 'Lock', 'current_thread', 'enumerate', 'main_thread')
        """,
    "logging": "import logging; logging.disable(logging.CRITICAL); logging.Logger.debug = None",
    "a log handler": """
        import logging
        class Raises(logging.Handler):
            def handle(self, record): raise SystemExit(3)
        logging.basicConfig(level=1, handlers=[Raises()])
        logging.getLogger('botocore').setLevel(1)
        """,
    "hooks": "import sys; sys.excepthook = sys.unraisablehook = None",
    "streams": """
        import sys, io
        sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = io.StringIO()
        """,
    "no streams": "import sys; sys.stdout = sys.stderr = None",
    "modules": """
        import sys
        [sys.modules.pop(n) for n in ('json', 'select', 'fleet.job.process', 'fleet.sqs.wire')]
        """,
    "broken modules": """
        import sys
        sys.modules['json'] = sys.modules['select'] = sys.modules['socket'] = None
        """,
    "at exit": "import atexit, os; atexit.register(os._exit, 9)",
    "seed": "import random; random.seed(1); random.random = random.uniform = None",
    "closed standard": "import os; [os.close(n) for n in (0, 1, 2)]",
    "others in their place": """
        import os, socket
        [os.close(n) for n in (0, 1, 2)]
        kept = socket.socketpair()
        """,
    "redirected": """
        import os
        null = os.open('/dev/null', os.O_RDWR)
        [os.dup2(null, n) for n in (0, 1, 2)]
        """,
    "session": "import os; os.setsid()",
    "watchdog": "import faulthandler; faulthandler.dump_traceback_later(1, exit=True)",
    "adoption": "import ctypes; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)",
    "not dumpable": "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)",
    "no parent": "import ctypes; ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)",
    "sinks": """
        from loguru import logger
        logger.remove(); logger.disable('fleet'); logger.add(lambda _: 1 / 0, catch=False)
        """,
    "a sink with a thread": """
        from loguru import logger
        logger.remove()
        logger.add('/dev/null', enqueue=True)
        """,
    "frozen time": """
        import datetime, sys
        class Fake(datetime.datetime):
            @classmethod
            def now(cls, tz=None): raise RuntimeError
        real, datetime.datetime = datetime.datetime, Fake
        for module in [*sys.modules.values()]:
            for name, value in [*getattr(module, '__dict__', {}).items()]:
                if value is real and module is not sys.modules[__name__]:
                    setattr(module, name, Fake)
        """,
    "children": "import subprocess; child = subprocess.Popen(['sleep', '1000'])",
}

# What does not hide each other: one app does it all, one after the other.
TOGETHER = {
    "the process": (
        *("umask", "directory", "arguments", "environment", "proxy", "locale", "decimal"),
        *("no core", "seed", "switching", "collector"),
    ),
    "modules' functions": (
        *("socket time-out", "select", "struct", "json in place", "json's own objects", "json"),
        *("sockets", "clocks"),
    ),
    "what only jobs can use": ("os", "threading", "builtins", "fork"),
    "hooks of Python's": ("logging", "sinks", "at exit", "hooks"),
    "forks and audits": ("a fork's state", "at a fork", "audits"),
    "the family": ("session", "adoption", "not dumpable", "no parent", "children"),
}
CASES = {
    name: text
    for name, text in IMMUNE.items()
    if name not in chain.from_iterable(TOGETHER.values())
} | {title: "\n".join(dedent(IMMUNE[name]) for name in names) for title, names in TOGETHER.items()}

REFUSED = {  # and what the line says
    "raising tracer": ("import sys; sys.settrace(lambda *_: 1 / 0)", "ZeroDivisionError"),
    "few files for good": (
        "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (20, 20)); drop()",
        "RLIMIT_NOFILE to 20",
    ),
    "time for good": (
        "import resource as r; r.setrlimit(r.RLIMIT_CPU, (60, 60)); drop()",
        "RLIMIT_CPU to 60",
    ),
    "closed channel": ("import os; os.closerange(3, 4096)", "closes descriptors"),
    "closed others": ("import os; os.close(memfd())", "closes descriptors"),
    "a daemon": ("import os; os.fork() and os._exit(0); os.setsid()", "as a daemon does"),
    "a fork": ("import os; os.fork()", "as a daemon does"),
    "an end": ("import os; print('good', 'bye'); os._exit(0)", "os._exit"),
    "a bad end": ("import os; print('good', 'bye'); os._exit(3)", "exit 3"),
    "a crash": ("import os; print('good', 'bye'); os.kill(os.getpid(), 11)", "SIGSEGV"),
    "gevent": ("patch('gevent')", "gevent replaces"),
    "eventlet": ("patch('eventlet')", "eventlet replaces"),
}

JOB = """
def drop():
    '''Give up what lets root raise a limit again.'''
    import ctypes
    libc = ctypes.CDLL(None)
    header, data = (ctypes.c_uint * 2)(0x20080522, 0), (ctypes.c_uint * 6)()
    libc.capget(header, data)
    data[0] &= ~(1 << 24)
    libc.capset(header, data)
def end():
    '''A process of fleet's own.'''
    if _pid() not in (_here, _session(0)):
        _os._exit(1)
def memfd():
    '''The descriptor that a stack would be written to.'''
    return next(n for n in range(3, 99) if 'fleet-stack' in _os.readlink(f'/proc/self/fd/{n}'))
def patch(loop):
    '''As the monkey patches of these libraries do.'''
    import select, socket, time
    def sleep(seconds): raise SystemExit('no loop')
    sleep.__module__ = f'{loop}.hub'
    time.sleep = sleep
    socket.socket = type('socket', (socket.socket,), {'__module__': f'{loop}._socket3'})
    del select.epoll

def replace(owner, *names):
    '''By functions that only jobs can use, and what is left of the import.'''
    for name in names:
        def function(*args, _function=getattr(owner, name), **kwargs):
            if _pid() not in (_here, _session(0)):
                raise SystemExit(f'{_function} is used by fleet itself')
            return _function(*args, **kwargs)
        setattr(owner, name, function)

import os as _os
_open, _write, _close = _os.open, _os.write, _os.close
_path = _os.path.join(_os.environ['POOL_TEST_DIR'], 'done')
_pid, _session, _here = _os.getpid, _os.getsid, _os.getpid()
_appending = _os.O_WRONLY | _os.O_APPEND | _os.O_CREAT
def job(body):
    fd = _open(_path, _appending, 0o666)
    _write(fd, b'x')
    _close(fd)
"""


def pool(
    start: StartPool,
    home: Home,
    before: str,
    *options: str,
    expected: Expected = LOUD,
    **environment: str,
) -> Pool:
    """A pool of the app that begins with these lines; it ends by itself after two messages."""
    file = home.directory / "hostile.py"
    file.write_text(JOB + "\n" + dedent(before) + "\n")
    (home.directory / "done").touch()
    options = ("--max-jobs", "2", *options)
    return start(*options, app=f"{file}:job", workers=1, expected=expected, **environment)


@pytest.mark.parametrize("name", CASES)
def test_a_dispatcher_is_immune(start: StartPool, home: Home, queue: LiveQueue, name: str) -> None:
    queue.send("one", "two")
    running = pool(start, home, CASES[name])
    assert running.wait() == 0
    assert running.ledger()["deleted"] == 2, running.log()
    assert not running.events("dispatcher.died")
    assert not running.events("helper.died")
    assert "Traceback" not in "\n".join(running.noise)
    assert (home.directory / "done").read_text() == "xx"
    assert queue.depth() == EMPTY


@pytest.mark.parametrize("name", REFUSED)
def test_an_app_is_refused_by_name(start: StartPool, home: Home, name: str) -> None:
    """One line says what it does. What it printed before is not lost."""
    before, said = REFUSED[name]
    running = pool(start, home, before, expected=NONE)
    assert running.wait() == 4
    assert said in running.refusal()
    assert running.output() == ("good bye\n" if "bye" in before else "")


@pytest.mark.needs("root")
def test_an_import_that_leaves_no_process_to_work_in_is_refused_too(
    start: StartPool, home: Home
) -> None:
    """Whatever fails when it is judged: here there is no /proc any more."""
    running = pool(
        start,
        home,
        "import os; os.chroot(os.environ['POOL_TEST_DIR']); os.chdir('/')",
        expected=NONE,
    )
    assert running.wait() == 4
    assert "no process that fleet can work in: FileNotFoundError" in running.refusal()
    assert "Traceback" not in "\n".join(running.noise)


@pytest.mark.parametrize("name", ["a daemon", "an end", "a bad end", "a crash"])
def test_and_where_the_import_is_only_tried(start: StartPool, home: Home, name: str) -> None:
    """An import that ends the process with 0 is none that has succeeded."""
    running = pool(start, home, REFUSED[name][0], "--no-preload", expected=NONE)
    assert running.wait() == 4
    assert "import" in running.refusal()
    assert running.output() == ("good bye\n" if "bye" in REFUSED[name][0] else "")


@pytest.mark.parametrize("name", ["gevent", "eventlet", "few files for good", "closed channel"])
def test_what_is_no_trouble_in_a_job(
    start: StartPool, home: Home, queue: LiveQueue, name: str
) -> None:
    """The cure that the refusal names."""
    queue.send("one", "two")
    running = pool(start, home, REFUSED[name][0], "--no-preload")
    assert running.wait() == 0
    assert running.ledger()["deleted"] == 2


SEEN = """
    import decimal, gc, json, locale, os, resource, select, socket, sys, time, warnings
    os.umask(0o031); os.chdir('/proc')
    os.environ.update(PLAYED='yes', TZ='Asia/Tokyo'); time.tzset()
    socket.setdefaulttimeout(7); sys.setrecursionlimit(432)
    warnings.simplefilter('error'); gc.disable()
    sys.path.insert(0, '/played'); json.dumps, dumps = None, json.dumps; del select.epoll
    resource.setrlimit(resource.RLIMIT_NOFILE, (99, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    null = os.open('/dev/null', os.O_WRONLY); os.dup2(null, 1); os.dup2(null, 2)
    os.register_at_fork(before=lambda: forks.append('b'), after_in_child=lambda: forks.append('c'))
    os.register_at_fork(before=lambda: forks.append('B'), after_in_child=lambda: 1 / 0)
    sys.addaudithook(lambda event, _: events.append(event)); forks, events = [], []
    def seen():
        return [''.join(forks), 'os.listdir' in events, os.umask(0),
            os.getcwd(), os.environ['PLAYED'],
            time.tzname[0], socket.getdefaulttimeout(), sys.getrecursionlimit(),
            warnings.filters[0][0], gc.isenabled(), sys.path[0], json.dumps,
            hasattr(select, 'epoll'), resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            os.readlink('/proc/self/fd/1'), os.readlink('/proc/self/fd/2'),
            sys.argv[1:], os.environ['FLEET_JOB_SLOT']]
    def job(body):
        os.listdir('/')
        open(_path, 'w').write(dumps(seen()))
    """


def test_jobs_see_what_the_import_has_left(start: StartPool, home: Home, queue: LiveQueue) -> None:
    queue.send("one", "two")
    running = pool(start, home, SEEN)
    assert running.wait() == 0
    assert json.loads((home.directory / "done").read_text()) == [
        *("Bbc", True, 0o031, "/proc", "yes", "JST", 7, 432, "error", False, "/played", None),
        *(False, 99, "/dev/null", "/dev/null", [], "0"),
    ]


PLACED = """
    import json, os
    os.environ.pop('FLEET_JOB_SLOT', None)
    os.environ = dict(os.environ)
    def job(body):
        names = ('FLEET_JOB_QUEUE', 'FLEET_JOB_SLOT', 'FLEET_JOB_ATTEMPT')
        open(_path, 'w').write(json.dumps([os.environ.get(name) for name in names]))
    """


def test_a_job_is_told_its_place_in_an_environment_that_the_import_has_replaced(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """Also in a pool that a job has started."""
    queue.send("one", "two")
    running = pool(start, home, PLACED, FLEET_JOB_SLOT="0")
    assert running.wait() == 0
    assert json.loads((home.directory / "done").read_text()) == [queue.name, "0", "1"]


CHANCE = """
    import multiprocessing.util, os
    import numpy.random
    gone_through = []
    class Any: pass
    multiprocessing.util.register_after_fork(owner := Any(), lambda _: gone_through.append('x'))
    def job(body):
        with open(_path, 'a') as file:
            file.write(f"{numpy.random.random()} {len(gone_through)}\\n")
    """


def test_a_job_draws_numbers_of_its_own_and_is_told_of_its_fork(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    queue.send("one", "two")
    assert pool(start, home, CHANCE).wait() == 0
    lines = (home.directory / "done").read_text().splitlines()
    drawn, told = zip(*map(str.split, lines), strict=True)
    assert len({*drawn}) == 2
    assert told == ("1", "1")


FORKED = """
    import json
    calls = []
    program = "import os; os.register_at_fork(after_in_child=lambda: calls.append('x'))"
    exec(program, {'__name__': 'logging.somewhere', 'calls': calls})
    def job(body):
        open(_path, 'w').write(json.dumps(calls))
    """


def test_what_is_for_threads_is_not_done_at_the_fork_of_a_job(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """It is at the two forks by which a dispatcher is made: the template may have threads."""
    queue.send("one", "two")
    running = pool(start, home, FORKED)
    assert running.wait() == 0
    assert json.loads((home.directory / "done").read_text()) == ["x", "x"]


FORKING = """
    import json, logging, os, threading
    def job(body):
        names = [thread.name for thread in threading.enumerate()]
        held, done = threading.Event(), threading.Event()
        def hold():
            with logging._lock:
                held.set()
                done.wait()
        threading.Thread(target=hold).start()
        held.wait()
        threading.Timer(0.05, done.set).start()
        pid = os.fork()
        if pid == 0:
            logging.getLogger('x').addHandler(logging.NullHandler())
            logging.getLogger('y')
            os._exit(threading.active_count())
        left = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        open(_path, 'w').write(json.dumps([names, left]))
    """


def test_a_jobs_own_forks_think_of_its_threads(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """Though the fork of the job, which a dispatcher without threads makes, leaves that out."""
    queue.send("one", "two")
    running = pool(start, home, FORKING)
    assert running.wait() == 0
    assert json.loads((home.directory / "done").read_text()) == [["MainThread"], 1]


DANGERS = {
    "a connection": (
        """
        import socket
        server = socket.create_server(('127.0.0.1', 0))
        client = socket.create_connection(server.getsockname())
        """,
        r"connected to 127\.0\.0\.1:\d+",
    ),
    "a path": (
        """
        import os, socket
        path = os.environ['POOL_TEST_DIR'] + '/s'
        server = socket.socket(socket.AF_UNIX); server.bind(path); server.listen()
        client = socket.socket(socket.AF_UNIX); client.connect(path)
        """,
        r"connected to \S*/s\b",
    ),
    "a thread": (
        (
            "import threading, time; "
            "threading.Thread(target=time.sleep, args=(99,), name='busy', daemon=True).start()"
        ),
        r"threads started at import: 1 \(busy\)",
    ),
    "a bare thread": (
        "import _thread, time; _thread.start_new_thread(lambda: time.sleep(99), ())",
        "without a name",
    ),
}


@pytest.mark.parametrize("name", DANGERS)
def test_what_survives_no_fork_is_warned_of(
    start: StartPool, home: Home, queue: LiveQueue, name: str
) -> None:
    before, said = DANGERS[name]
    queue.send("one", "two")
    running = pool(start, home, before)
    assert running.wait() == 0
    assert any(re.search(said, event["why"]) for event in running.events("template.warned"))


HARMLESS = {
    "closed again": "import socket; [each.close() for each in socket.socketpair()]",
    "nobody there": """
        import socket
        server = socket.create_server(('127.0.0.1', 0))
        udp = socket.socket(type=2)
        """,
    "datagrams": "import socket; statsd = socket.socket(type=2); statsd.connect(('127.0.0.1', 9))",
    "threads of C": "import numpy; numpy.ones((400, 400)) @ numpy.ones((400, 400))",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_does_no_harm_is_not(
    start: StartPool, home: Home, queue: LiveQueue, name: str
) -> None:
    queue.send("one", "two")
    running = pool(start, home, HARMLESS[name])
    assert running.wait() == 0
    assert not running.events("template.warned")


FILES = """
    import tempfile, weakref
    ours = tempfile.TemporaryDirectory()
    def job(body):
        global theirs
        theirs = tempfile.TemporaryDirectory()
        fd = _open(_path, _appending)
        _write(fd, theirs.name.encode() + b'\\n')
        _close(fd)
    """


def test_what_a_job_registers_is_its_own_also_after_an_import_that_registered_something(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    queue.send("one", "two")
    assert pool(start, home, FILES).wait() == 0
    made = (home.directory / "done").read_text().splitlines()
    assert len(made) == 2
    assert not any(Path(each).exists() for each in made)


def test_a_job_is_rehearsed_before_the_import(start: StartPool, home: Home) -> None:
    start(app="rehearsed:job", workers=1)
    (line,) = home.trace.wait("imported")
    assert line.detail == {"settled": True, "variables": []}
