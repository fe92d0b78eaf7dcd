"""Models: from typed rows to a matrix, an estimator, a graph and its predictions."""
