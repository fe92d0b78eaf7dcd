"""Remotes: where data and models are kept, and how bytes get there when networks fail."""
