"""What the large photograph collections share: 224 px, the usual test-time view, and where their files lie."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from benchmark.contracts import DatasetInfo, ImageDataset
from benchmark.errors import InputError


def photographs(
    name: str,
    title: str,
    source: str,
    classes: tuple[str, ...],
    protocol: str,
    *,
    multi: bool = True,
    images: int | None = None,
    notes: str = "",
) -> DatasetInfo:
    """The facts of a set of photographs at 224 px."""
    return DatasetInfo(
        name=name,
        title=title,
        source=source,
        classes=classes,
        multi_label=multi,
        channels=3,
        height=224,
        width=224,
        default_protocol=protocol,
        epochs=10,
        crop_padding=16,
        flip=True,
        split_key=name,
        images=images,
        notes=notes,
    )


class Photographs(ImageDataset):
    """Images whose short side is brought to 256 px and whose centre of 224 px is kept.

    swuxyj/DeepHash-pytorch and khoadoan106/single_loss_quantization evaluate on this view.
    """

    fit: ClassVar[Literal["stretch", "crop"]] = "crop"
    zoom: ClassVar[float] = 256 / 224
    #: Where the set may lie below the data folder, and what belongs there.
    places: ClassVar[tuple[str, ...]]
    wanted: ClassVar[str]

    def place(self, root: Path | None) -> Path:
        """The set's folder. Raises InputError that says what to put where."""
        if root is None:
            raise InputError(
                f"data set {self.info.name!r} needs a data folder: give --data-root or set BENCHMARK_DATA"
            )
        if not root.is_dir():
            raise InputError(
                f"data set {self.info.name!r}: the data folder {str(root)!r} does not exist; put into "
                f"{str(root / self.places[0])!r}: {self.wanted}"
            )
        for place in self.places:
            if (root / place).is_dir():
                return root / place
        raise InputError(
            f"data set {self.info.name!r}: no folder {str(root / self.places[0])!r}; put there {self.wanted}"
        )

    def need(self, path: Path) -> Path:
        """A file or folder that has to be there. Raises InputError naming it and what belongs there."""
        if not path.exists():
            raise InputError(f"data set {self.info.name!r}: missing {str(path)!r}; needed are {self.wanted}")
        return path


def read_lines(path: Path, max_bytes: int = 2**28) -> list[str]:
    """The lines of a text file, stripped, without the empty ones at its end. Raises InputError naming the file."""
    try:
        if path.stat().st_size > max_bytes:
            raise InputError(f"{str(path)!r} is larger than {max_bytes:,} bytes")
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}") from None
    while lines and not lines[-1]:
        lines.pop()
    return lines
