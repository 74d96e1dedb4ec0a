"""How figures look and what they are made of."""
