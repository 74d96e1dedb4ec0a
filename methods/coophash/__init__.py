"""CoopHash: one descriptor with four heads and a contrastive pair generator, learned cooperatively."""

from methods.coophash.method import CoopHash
from methods.coophash.params import CoopHashParams

__all__ = ["CoopHash", "CoopHashParams"]
