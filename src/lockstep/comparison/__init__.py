"""Champion and challenger on the same rows, which neither has trained on: what may be said about them."""
