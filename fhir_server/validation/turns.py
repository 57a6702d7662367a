"""Large resources are looked at beside the event loop, so that other requests get their turns.

One thread a process is enough for that: what is large waits for what is large, and the memory that
it takes at once stays bounded.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

# Objects and arrays; so many take a few milliseconds.
_LARGE = 2_000

_beside = ThreadPoolExecutor(1, thread_name_prefix="validation")


async def in_turns(value: Any, work: Callable[[], T], *, large: bool | None = None) -> T:
    """What `work` gives, which takes as long as `value` is large; raises what it raises.

    large: whether it is, if that is known.
    """
    if not (is_large(value) if large is None else large):
        return work()
    return await asyncio.get_running_loop().run_in_executor(_beside, work)


def is_large(value: Any) -> bool:
    """Whether decoded JSON has more objects and arrays than are looked at in one go."""
    waiting, found = [value], 0
    while waiting:
        each = waiting.pop()
        if each.__class__ is dict:
            inside = [item for item in each.values() if item.__class__ in (dict, list)]
        elif each.__class__ is list:
            inside = [item for item in each[:_LARGE] if item.__class__ in (dict, list)]
            found += len(each) // 100
        else:
            continue
        found += 1
        if found + len(waiting) + len(inside) > _LARGE:
            return True
        waiting += inside
    return False
