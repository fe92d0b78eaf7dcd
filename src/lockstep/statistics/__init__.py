"""What the words about a model mean. Only numpy and scipy."""
