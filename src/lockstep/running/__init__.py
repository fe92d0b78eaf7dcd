"""How a stage runs: what it declares, how its process starts and ends, what it checks."""
