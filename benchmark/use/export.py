"""A fit as a folder that a service can use: weights, network, preprocessing, codes, index, and how to use them."""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.store.store import Store
from benchmark.use.encode import Codes, write_codes
from benchmark.use.index import write_index
from benchmark.use.model import Encoder
from benchmark.use.network import MAX_ITEMS, Network, onnx_program, program


def stored_codes(encoder: Encoder, results: Path) -> Codes:
    """The codes of the database that the fit was scored on; ids are row numbers of its data set.

    Raises InputError where they were not kept.
    """
    record = encoder.record
    try:
        found = Store(results).codes(record.spec)
        codes, ids, labels = (found[f"database_{name}"] for name in ("codes", "ids", "labels"))
    except (InputError, KeyError):
        raise InputError(
            f"the codes of {record.spec.label} ({record.fit_id}) were not kept: give --database DIR or FILE"
        ) from None
    protocol = record.protocol.text if record.protocol else record.spec.protocol
    return Codes(codes, None, ids.astype(str), record.spec.bits, record.fit_id, protocol, labels)


def preprocessing(encoder: Encoder) -> dict[str, Any]:
    """What the network takes and what its outputs mean, as plain data."""
    spec, target = encoder.record.spec, encoder.target
    common = {
        "fit_id": encoder.record.fit_id,
        "fit": spec.label,
        "bits": spec.bits,
        "max_items": MAX_ITEMS,
        "code": "bit 1 where the output >= 0, packed by numpy.packbits along the last axis",
    }
    if target is None:
        return {**common, "input": "vectors", "dtype": "float32", "width": encoder.width}
    return {
        **common,
        "input": "images",
        "dtype": "uint8",
        "layout": "items, channels, height, width",
        "mode": "RGB" if target.channels == 3 else "L",
        "channels": target.channels,
        "height": target.height,
        "width": target.width,
        "resize": "bilinear",
        "resize_to": target.fit,
        "zoom": target.zoom,
    }


def export(encoder: Encoder, database: Codes, folder: Path) -> list[str]:
    """Write the folder, whole or not at all, and return the names of its files, and last why there is no ONNX.

    Raises InputError for a folder that holds something already or cannot be written, and as `program` does.
    """
    from safetensors.torch import save

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--to {str(folder)!r} is there and not empty: name a new folder")
    network = Network(encoder)
    content = program(encoder, network)
    onnx, why = onnx_program(encoder, content)
    about = preprocessing(encoder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=folder.parent) as scratch:
            made = Path(scratch) / "export"
            made.mkdir()
            (made / "weights.safetensors").write_bytes(save(network.tensors()))
            (made / "network.pt2").write_bytes(content)
            if onnx:
                (made / "network.onnx").write_bytes(onnx)
            (made / "preprocessing.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
            write_codes(made / "codes.npz", database)
            indexed = write_index(database, made / "index.faiss")
            (made / "README.md").write_text(_readme(about, database, indexed, bool(onnx)), encoding="utf-8")
            if folder.is_dir():
                folder.rmdir()
            shutil.move(made, folder)
    except OSError as error:
        raise InputError(f"--to {str(folder)!r} cannot be written: {error.strerror or error}") from None
    return [*sorted(path.name for path in folder.iterdir()), *([f"({why})"] if why else [])]


def _readme(about: dict[str, Any], database: Codes, indexed: bool, onnx: bool) -> str:
    from jinja2 import Environment, StrictUndefined

    text = resources.files("benchmark.use").joinpath("templates/export.md").read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    shown = environment.from_string(text).render(
        about=about, items=len(database.ids), indexed=indexed, onnx=onnx
    )
    return shown.rstrip() + "\n"
