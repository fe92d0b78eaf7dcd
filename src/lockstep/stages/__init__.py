"""The four verbs of the pipeline: each reads, calls a noun, writes."""
