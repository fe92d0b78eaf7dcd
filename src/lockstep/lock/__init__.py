"""Is the lock true? What dvc.lock says, stage by stage; the seal; merging; verifying; objects by their hashes."""
