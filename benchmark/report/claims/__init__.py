"""The paper's claims, and how they are judged."""
