"""The process of this session's queue, whose CPU time evidence scripts measure."""

import psutil


def find_queue_process() -> psutil.Process:
    """Of the queues on this machine the one that this process started: other sessions may have theirs."""
    queues = [one for one in psutil.Process().children(recursive=True) if _is_queue(one)]
    (queue,) = queues
    return queue


def _is_queue(process: psutil.Process) -> bool:
    try:
        return "WorkQueueActor" in " ".join(process.cmdline())
    except psutil.Error:  # ended meanwhile
        return False
