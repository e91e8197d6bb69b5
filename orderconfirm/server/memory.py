"""Settings of the C library's allocator and of Python's garbage collector that save memory and CPU time."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

#: glibc's M_ARENA_MAX. By default each thread has its own arena, which keeps the memory of the largest body that the
#: thread has read: 260 MB for 32 threads and hostile bodies, instead of 150 MB with one arena. A single arena costs
#: little, because only one Python thread runs at a time.
_ARENA_MAX = -8
#: glibc's M_MMAP_THRESHOLD. glibc raises it with the first large body, and then allocates large bodies among small
#: objects, where their memory is not returned to the system. An explicitly set threshold does not change.
_MMAP_THRESHOLD = -3
_MMAP_THRESHOLD_BYTES = 128 * 1024


#: New objects between two collections. A request makes some thousands, nearly all of which end without a collection.
_COLLECTION_THRESHOLD = 20_000


def tune_allocator() -> None:
    """Limit the memory that this process and its later forks keep. Does nothing where the C library is not glibc."""
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)


def freeze_gc() -> None:
    """Exclude the objects loaded so far from garbage collection, and collect new ones less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTION_THRESHOLD)
