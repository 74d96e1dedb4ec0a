"""Images a second of every corruption, on one core: `python benchmarks/corruptions.py [SIZE]`, 32 by default.

The images are crops of scikit-learn's two photographs, three channels; seconds are processor time of one thread.
The last line is the mean rate over the fifteen: images divided by the sum of the times.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from sklearn.datasets import load_sample_images

from benchmark.data.corruptions import corrupt
from benchmark.spec.corruptions import COMMON, CORRUPTIONS, SEVERITIES

IMAGES = 500


def main() -> None:
    """Print a line for each corruption."""
    torch.set_num_threads(1)
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 32
    photos = torch.from_numpy(np.stack(load_sample_images().images)).permute(0, 3, 1, 2).float()
    patches = (
        torch.nn.functional.unfold(photos, 96, stride=16).transpose(1, 2).reshape(-1, 3, 96, 96)[:IMAGES]
    )
    images = torch.nn.functional.interpolate(patches, size=(size, size), mode="bilinear").to(torch.uint8)
    rows, spent = np.arange(len(images)), {}
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            corrupt(images[:2], name, severity, rows[:2], "warm-up")
        begun = time.process_time()
        for severity in SEVERITIES:
            corrupt(images, name, severity, rows, "speed")
        spent[name] = (time.process_time() - begun) / (len(SEVERITIES) * len(images))
        print(f"{name:<18} {1 / spent[name]:>10,.0f} images/s")
    print(
        f"mean over the 15   {len(COMMON) / sum(spent[name] for name in COMMON):>10,.0f} images/s, {size} px"
    )


if __name__ == "__main__":
    main()
