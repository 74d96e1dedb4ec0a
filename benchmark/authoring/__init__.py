"""For authors: try a method out, tune it, start a new one, declare a data set."""
