"""Pools of threads and processes made before a fork: their workers are not in a job's process.

Work that a job gives to such a pool would never run, in silence, and its message be deleted. So a
ThreadPoolExecutor starts new threads when it is used, and a pool of processes, whose workers belong
to another process, says what is wrong.
"""

import sys
from typing import Any

UNUSABLE = (
    "this pool was made before the job's process was forked, and its workers are not there: "
    "make it in the job"
)


def disable() -> None:
    """In a fork child, before user code: deal with the pools of the parent.

    A module that is not loaded has made no pool.
    """
    threads: Any = sys.modules.get("concurrent.futures.thread")
    if threads is not None and threads._threads_queues:
        _renew_thread_pools(threads)
    processes: Any = sys.modules.get("concurrent.futures.process")
    if processes is not None and processes._threads_wakeups:
        _refuse_process_pools(processes)
    pools: Any = sys.modules.get("multiprocessing.pool")
    if pools is not None:
        _refuse_pools(pools)


def _renew_thread_pools(module: Any) -> None:
    """Have each pool forget its threads and its work when it is used.

    A pool starts a thread only if it knows of none that is idle, and the threads that it knows of
    are not in this process.
    """
    gone = set(module._threads_queues)
    module._threads_queues.clear()
    grow = module.ThreadPoolExecutor._adjust_thread_count

    def adjust(pool: Any) -> None:
        if not gone.isdisjoint(pool._threads):
            pool._threads, pool._idle_semaphore = set(), module.threading.Semaphore(0)
            before, pool._work_queue = pool._work_queue, module.queue.SimpleQueue()
            work = None
            # The last item is what the pool is given now; the others are not this job's.
            while not before.empty():
                work = before.get_nowait()
            pool._work_queue.put(work)
        grow(pool)

    module.ThreadPoolExecutor._adjust_thread_count = adjust


def _refuse_process_pools(module: Any) -> None:
    gone = set(module._threads_wakeups)
    module._threads_wakeups.clear()
    submit = module.ProcessPoolExecutor.submit

    def refuse(pool: Any, /, *args: Any, **kwargs: Any) -> Any:
        if pool._executor_manager_thread in gone:
            raise RuntimeError(UNUSABLE)
        return submit(pool, *args, **kwargs)

    module.ProcessPoolExecutor.submit = refuse


def _refuse_pools(module: Any) -> None:
    check = module.Pool._check_running

    def refuse(pool: Any) -> None:
        check(pool)
        if not pool._worker_handler.is_alive():
            raise RuntimeError(UNUSABLE)

    module.Pool._check_running = refuse
