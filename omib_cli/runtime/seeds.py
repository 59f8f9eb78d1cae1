"""Seeds derived by name, so that every random draw can be repeated from (run seed, purpose, position) alone.

No generator state is carried from step to step: step 1,234 of a phase draws the same noise in a
resumed run as in an uninterrupted one, whatever was drawn before it.
"""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose: ``derive_seed(0, "shuffle", epoch)``.

    The same arguments always give the same value (SHA-256 of their text), on every platform.
    """
    text = "/".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
