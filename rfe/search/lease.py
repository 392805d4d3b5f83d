"""What the queue keeps of each item and of each worker."""

from dataclasses import dataclass, field

from rfe.search.work import WorkItem


@dataclass
class Entry:
    """An item that has not ended."""

    item: WorkItem
    offered: float = 0.0
    """When it was put into the queue, by the clock of the leases."""
    wait_s: float | None = None
    """Seconds until a worker first took it; None: none has yet."""
    lost: int = 0
    """Workers lost over it."""
    undecided: bool = False
    """It has a reported score that was not compared yet."""
    pruned: str = ""
    """Why it is to end; "" while it is not."""
    largest_stack: int | None = None
    """After its stack raised an error: in how large a stack it may be tried next."""


@dataclass
class Holder:
    """A worker, and the items it has on lease."""

    slot: str
    heard: float
    leases: dict[str, float] = field(default_factory=dict)
    """Key -> start of the lease."""
    has_taken: bool = False
    """Whether it has asked for work, and so has started well."""
    stack: int = 1
    """Size of the stack it trains."""
    leave: bool = False
    node: str = ""
    """Ray's id of its node; "": not known."""
    idle_since: float | None = None
