"""The flow of a cooperative update as a drawing: pair generator, chain, descriptor, heads and losses as built.

Everything comes from `describe`: the parts that the built networks have and the parameters they were built with. A
head that is off is not drawn, and nothing that only it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.report.figures.style import COLUMN, PAGE, inches, on_paper

#: Head of the built descriptor -> its name, what it gives, its loss and the loss's weight among the parameters.
_HEADS = {
    "density_head": ("density", r"$f(x, c)$", r"$L_{\mathrm{NLL}}$", "weight_nll"),
    "inference_head": ("inference", r"$q(z\,|\,x)$", r"$L_{\mathrm{VAE}}$", "weight_vae"),
    "hash_head": ("hash", r"$h(x)$", r"$L_{\mathrm{TR}}$", "weight_tr"),
    "class_head": ("class", r"$p(c\,|\,x)$", r"$L_{\mathrm{CLASS}}$", "weight_class"),
}
_DATA, _MODEL, _LOSS = "#F0F0F0", "#D5E8F5", "#FBE3C8"
#: How much larger the text of a paper is than that of a report here.
_PAPER = 1.6
_REVISED = r"$\tilde{x}^+,\ \tilde{x}^-$"


@dataclass(frozen=True)
class Flow:
    """What is drawn. counts: parameters of each part by name; values: the method's parameters."""

    counts: dict[str, int]
    values: Mapping[str, Any]
    bits: int
    backbone: str

    @property
    def heads(self) -> list[str]:
        """The heads that are there, in drawing order."""
        return [name for name in _HEADS if name in self.counts]

    @property
    def generates(self) -> bool:
        """Whether there is a generator."""
        return "generator" in self.counts

    @property
    def adversarial(self) -> bool:
        """Whether the density head tells real from fake, in the GAN's way."""
        return self.values.get("density") == "discriminator"

    @property
    def steps(self) -> int:
        """T of the Langevin chain; 0 when nothing revises the pair."""
        energy = "density_head" in self.counts and not self.adversarial and self.generates
        return int(self.values.get("langevin_steps") or 0) if energy else 0


def flow_of(facts: Mapping[str, Any]) -> Flow | None:
    """The flow of a described method; None for one without a base under several heads and a record of parameters.

    facts: what `describe` wrote. Raises KeyError, TypeError or ValueError for anything else.
    """
    values = facts.get("parameters")
    networks = {str(one["name"]): one["parts"] for one in facts["networks"]}
    parts = {str(part["name"]): int(part["parameters"]) for part in networks.get("hash", ())}
    if not isinstance(values, Mapping) or "base" not in parts or len(parts.keys() & _HEADS.keys()) < 1:
        return None
    if not any(name.startswith("weight_") for name in values):
        return None
    if "generator" in networks:
        parts["generator"] = sum(int(part["parameters"]) for part in networks["generator"])
    return Flow(parts, values, int(facts["bits"]), str(facts["backbone"]))


def draw_flow(flow: Flow) -> Any:
    """The matplotlib figure, one column wide."""
    from matplotlib import pyplot

    low, high = (-0.08, 3.87) if flow.generates else (0.17, 2.2)
    # A paper's text is larger: the drawing grows with it, and stands in the middle of both columns.
    scale, beside = (_PAPER, (PAGE / _PAPER - COLUMN) / 2) if on_paper() else (1.0, 0.0)
    figure, axes = pyplot.subplots(figsize=(inches(COLUMN, schematic=True), scale * (high - low)))
    figure.subplots_adjust(0, 0, 1, 1)
    axes.set(xlim=(-beside, COLUMN + beside), ylim=(low, high))
    axes.axis("off")
    if flow.generates:
        _draw_pair(axes, flow)
    _box(axes, (0.62, 1.98), (0.95, 0.34), _DATA, ["real batch", r"$x,\ c^+$"])
    _descriptor(axes, flow)
    return figure


def _draw_pair(axes: Any, flow: Flow) -> None:
    """Right half: latent and labels, generator, pair, chain; arrows down into the base."""
    middle = 2.2
    latent = flow.values.get("latent", "d")
    _box(axes, (middle, 3.7), (1.75, 0.24), _DATA, [rf"$z \sim N(0, I_{{{latent}}})$,  labels $c^+, c^-$"])
    _box(
        axes,
        (middle, 3.23),
        (1.75, 0.36),
        _MODEL,
        ["generator $G(z, c)$", f"{flow.counts['generator']:,} parameters"],
    )
    _box(axes, (middle, 2.74), (1.75, 0.26), _DATA, ["pair  $x^+ = G(z, c^+),\\ x^- = G(z, c^-)$"])
    _arrow(axes, (middle, 3.58), (middle, 3.41))
    _arrow(axes, (middle, 3.05), (middle, 2.87))
    if flow.steps:
        _box(
            axes,
            (middle, 2.2),
            (1.75, 0.5),
            _MODEL,
            [f"Langevin, T = {flow.steps} steps", r"along $\nabla_x f(x, c)$ to", _REVISED],
        )
        _arrow(axes, (middle, 2.61), (middle, 2.45))
        _arrow(axes, (middle, 1.95), (middle, 1.62))
    else:
        _arrow(axes, (middle, 2.61), (middle, 1.62))


def _descriptor(axes: Any, flow: Flow) -> None:
    """The base, its heads side by side, and the loss of each."""
    width = COLUMN - 0.36
    _box(
        axes,
        (COLUMN / 2, 1.46),
        (width, 0.32),
        _MODEL,
        [f"shared base: {flow.backbone}, {flow.counts['base']:,} parameters"],
    )
    _arrow(axes, (0.62, 1.81), (0.62, 1.62))
    each = width / max(1, len(flow.heads))
    spots = {}
    for place, name in enumerate(flow.heads):
        x = 0.18 + each * (place + 0.5)
        title, formula, _, _ = _HEADS[name]
        if name == "density_head" and flow.adversarial:
            title, formula = "real / fake", r"$f(x, c)$"
        if name == "hash_head":
            formula = rf"$h(x)$, {flow.bits} bits"
        count = f"{flow.counts[name]:,}" if flow.counts[name] else "fixed"
        _arrow(axes, (x, 1.3), (x, 1.13))
        _box(axes, (x, 0.9), (min(each, 0.85) - 0.08, 0.46), _MODEL, [title, formula, count])
        loss = _loss(flow, name)
        if loss:
            _arrow(axes, (x, 0.67), (x, 0.5))
            _box(axes, (x, 0.36), (min(each, 0.85) - 0.08, 0.28), _LOSS, loss)
            spots[name] = x
    _feedback(axes, flow, spots)


def _loss(flow: Flow, head: str) -> list[str]:
    """A loss's name and weight; nothing for a head without one."""
    _, _, name, key = _HEADS[head]
    weight = float(flow.values.get(key) or 0)
    if not weight:
        return []
    if head == "density_head" and flow.adversarial:
        name = r"$L_{\mathrm{GAN}}$"
    return [name, f"weight {weight:g}"]


def _feedback(axes: Any, flow: Flow, spots: Mapping[str, float]) -> None:
    """Dashed: what reaches the generator (right margin) and the density's gradient in the chain (left of it)."""
    teachers = [name for name in ("inference_head",) if name in spots]
    teachers += ["density_head"] if flow.adversarial and "density_head" in spots else []
    if flow.generates and teachers:
        edge, top, bottom = COLUMN - 0.07, 3.23, 0.12
        xs = [min(spots[name] for name in teachers), edge, edge, 3.09]
        axes.plot(xs[:3], [bottom, bottom, top], color="black", lw=0.7, ls=(0, (4, 2)))
        for name in teachers:
            axes.plot([spots[name]] * 2, [0.22, bottom], color="black", lw=0.7, ls=(0, (4, 2)))
        _arrow(axes, (edge, top), (xs[3], top), dashed=True)
        axes.text(
            COLUMN - 0.07,
            bottom - 0.03,
            "teach the generator" if len(teachers) > 1 else "teaches the generator",
            ha="right",
            va="top",
            fontsize=5,
        )
    if flow.steps and flow.values.get("teaching"):
        axes.text(1.24, 3.48, "taught by the\nrevised pair", ha="right", va="center", fontsize=5)
        axes.plot([1.32, 1.18, 1.18], [2.2, 2.2, 3.23], color="black", lw=0.7, ls=(0, (4, 2)))
        _arrow(axes, (1.18, 3.23), (1.32, 3.23), dashed=True)


def _box(
    axes: Any, centre: tuple[float, float], size: tuple[float, float], colour: str, lines: list[str]
) -> None:
    from matplotlib.patches import FancyBboxPatch

    corner = (centre[0] - size[0] / 2, centre[1] - size[1] / 2)
    axes.add_patch(
        FancyBboxPatch(
            corner, *size, boxstyle="round,pad=0,rounding_size=0.04", fc=colour, ec="black", lw=0.6
        )
    )
    axes.text(*centre, "\n".join(lines), ha="center", va="center", fontsize=5.5, linespacing=1.15)


def _arrow(axes: Any, start: tuple[float, float], end: tuple[float, float], *, dashed: bool = False) -> None:
    look = {"arrowstyle": "-|>", "lw": 0.7, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 6, "color": "black"}
    axes.annotate("", end, start, arrowprops={**look, "ls": "--"} if dashed else look)
