"""Servers of the same model as others would write them, each in an environment of its own. Nothing here imports
Lockstep."""
