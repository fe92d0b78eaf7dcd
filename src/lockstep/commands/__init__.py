"""One module a command: it reads its arguments, calls a noun, and says what came out."""
