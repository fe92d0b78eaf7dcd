"""No telemetry: what tells the libraries that we start to keep to themselves."""

QUIET = {
    "BENTOML_DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "NML_DISABLE_USAGE_LOGGING": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}
"""No library reports to its makers."""
