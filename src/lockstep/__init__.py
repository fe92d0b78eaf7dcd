"""GitOps for machine learning: data, code, model and service move in lockstep, one pull request at a time."""

__version__ = "0.1.0"
