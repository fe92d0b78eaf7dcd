"""What is missing before all of this works: in this clone, on the remotes, on GitHub."""
