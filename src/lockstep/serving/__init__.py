"""The service: rows in, predictions out. Only what the image holds is imported here."""
