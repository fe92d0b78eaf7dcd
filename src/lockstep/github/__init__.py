"""GitHub: what workflows call. Everything that comes from a pull request's run is untrusted here."""
