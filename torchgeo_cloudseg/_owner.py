"""Processes that write, and whether they still run."""

from __future__ import annotations

import os
import platform
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple


class Owner(NamedTuple):
    """A process that writes."""

    host: str
    #: Processes are numbered anew in every container.
    numbering: str
    process: int
    #: When it started, in ticks since the machine did; 0 where the system does not tell.
    start: int

    @classmethod
    def here(cls) -> Owner:
        """This process."""
        numbering = Path('/proc/self/ns/pid')
        name = str(numbering.readlink()) if numbering.exists() else ''
        return cls(platform.node(), name, os.getpid(), _start_of(os.getpid()) or 0)

    @property
    def machine(self) -> str:
        """Short name of where processes are numbered as they are for this one."""
        return blake2b(f'{self.host} {self.numbering}'.encode(), digest_size=4).hexdigest()

    def is_gone(self) -> bool:
        """Whether it does not run any more; False where nobody here can tell."""
        if self.machine != Owner.here().machine:
            return False
        start = _start_of(self.process)
        return start is None or (0 not in (start, self.start) and start != self.start)


def _start_of(process: int) -> int | None:
    """When a process started; 0 where the system does not tell, None where there is none."""
    try:
        facts = Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()
    except OSError:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass  # somebody else's
        return 0
    # a zombie has ended, but nobody has asked how
    return None if facts[0] == 'Z' else int(facts[19])
