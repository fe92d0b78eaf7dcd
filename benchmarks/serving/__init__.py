"""What `make bench-serving` measures: the service beside others of the same model, in one run."""
