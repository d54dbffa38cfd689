"""How many threads sync code gets, tied to how many connections the process may open.

Called in an app's lifespan, beside the engine, under whatever server: sync endpoints and dependencies, uploads and
``run_in_threadpool`` all take their threads from one limiter of the event loop, which knows nothing of the pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread

if TYPE_CHECKING:
    from plimsoll_runtime.settings import Settings


def tie_threads_to_pool(settings: Settings) -> int:
    """Set the running event loop's limiter to ``settings.threads``, and return that.

    Why connections + ``SPARE_THREADS`` (``settings``):

    - *Not fewer than connections.* A request that holds a connection and needs a thread must find one, or connections
      lie idle that the budget has granted; handlers that use them from threads could never use all.
    - *Some more.* What needs no connection, such as a look into an upload or a sync dependency, must not wait behind
      as many slow queries as there are connections.
    - *Not many more, such as AnyIO's 40 for a pool of 5.* The other threads would only wait for a connection. They
      would be worse off than those who wait for a thread: that is a coroutine, which ends with its request, while a
      thread that waits cannot be cancelled, neither by a client that has gone nor by the deadline of a process that
      leaves.

    PLIMSOLL_THREADS sets another number, for an app whose threads wait for something other than its own database.
    """
    anyio.to_thread.current_default_thread_limiter().total_tokens = settings.threads
    return settings.threads
