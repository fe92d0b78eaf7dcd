"""Rows: how they are kept, typed, judged by the contract, and put on a side."""
