"""Gates: what the spec asks of a model, and whether it holds, is broken, or cannot be told."""
