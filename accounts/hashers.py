"""Passwords are hashed one after the other in each process, and when nothing else is to be done.

A hash takes a core for a good while by design. Logins in all threads at once would keep everybody
else waiting (docs/performance.md, Logins).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.auth import hashers

# On Linux a thread has a niceness of its own, and this is the thread of no request.
_NICENESS = 10


# It starts with the first hash, which is after a server has forked the process.
_thread = ThreadPoolExecutor(
    1, thread_name_prefix="hash", initializer=os.nice, initargs=(_NICENESS,)
)


class ScryptPasswordHasher(hashers.ScryptPasswordHasher):
    """Django's hasher, at work in that thread."""

    def encode(self, *args: Any, **kwargs: Any) -> str:
        encode: Callable[..., str] = super().encode
        return _thread.submit(encode, *args, **kwargs).result()
