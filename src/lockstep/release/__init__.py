"""The release: what was reviewed becomes an image, a version and a line on the branch `deploy`."""
