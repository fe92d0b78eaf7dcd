"""Batch: a file of rows in, the same rows with their predictions out. What the service refuses is refused here."""
