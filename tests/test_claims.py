from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lockstep.rows.claims import Claims

ROWS = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30)


@given(rows=ROWS, cut=st.integers(0, 30))
def test_a_row_repeats_the_first_that_claims_its_key_however_the_rows_are_cut(
    rows: list[tuple[int, bool]], cut: int
) -> None:
    taken: set[int] = set()
    expected = []
    for key, claims in rows:
        expected.append(key in taken)
        taken |= {key} if claims else set()
    kept, found = Claims(), []
    for piece in (rows[:cut], rows[cut:]):
        keys = np.array([key for key, _ in piece], dtype=np.uint64)
        found += kept.repeated(keys, np.array([claims for _, claims in piece], dtype=bool)).tolist()
    assert found == expected
