"""Values as one text each: the same values give the same text, whatever the order of keys."""

from __future__ import annotations

import json
from typing import Any

from lockstep.errors import InputError


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces; it tells 1 from 1.0 from true. Raises `InputError` where there is no order.

    >>> canonical({"b": [1, 1.0, True, None], "a": "ü"})
    '{"a":"ü","b":[1,1.0,true,null]}'
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except TypeError as error:
        raise InputError(f"dvc.lock holds values that cannot be written in an order: {error}") from None
