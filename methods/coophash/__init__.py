"""CoopHash: one descriptor with four heads and a contrastive pair generator, learned cooperatively."""

from benchmark.methods.coophash.method import CoopHash
from benchmark.methods.coophash.params import CoopHashParams

__all__ = ["CoopHash", "CoopHashParams"]
