"""Each loss against a plain statement of its formula (loops, float64) and against a numerical gradient.

The plain statements take `u`, the outputs, and `u0`, the point at which stop-gradients and hard decisions are
held: sign(u) is sign(u0) in them, a straight-through code is b0 + (u - u0), and the differences of the plain
statement then are what the paper's backward pass says.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.contracts import FitContext, HashData, Task
from benchmark.methods._stepwise import Batch, StepwiseMethod

pytestmark = pytest.mark.processor

pytestmark = pytest.mark.processor

N, K, C = 6, 4, 3
SINGLE = np.eye(C)[[0, 1, 2, 0, 1, 0]]
MULTI = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1], [1, 1, 1], [1, 0, 0]], dtype=float)
Plain = Callable[[np.ndarray, np.ndarray, np.ndarray, StepwiseMethod], float]


def sgn(x: float) -> float:
    return 1.0 if x >= 0 else -1.0


def sig(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def nll(theta: float, s: float) -> float:
    return math.log(1 + math.exp(theta)) - s * theta


def alike(y: np.ndarray, i: int, j: int) -> float:
    return 1.0 if any(y[i, c] and y[j, c] for c in range(C)) else 0.0


def pairs(f: Callable[[int, int], float], n: int = N) -> float:
    values = [f(i, j) for i in range(n) for j in range(n) if i != j]
    return sum(values) / len(values)


def every(u: np.ndarray, f: Callable[[float], float]) -> float:
    return sum(f(value) for value in u.flatten()) / u.size


def cos(a: np.ndarray, b: np.ndarray) -> float:
    return sum(p * q for p, q in zip(a, b)) / math.sqrt(sum(p * p for p in a) * sum(q * q for q in b))


def soft_cross_entropy(logits: np.ndarray, y: np.ndarray) -> float:
    total = 0.0
    for z, row in zip(logits, y):
        norm = math.log(sum(math.exp(value) for value in z))
        total -= sum((t / row.sum()) * (value - norm) for value, t in zip(z, row))
    return total / len(y)


def classifier(method: StepwiseMethod, codes: np.ndarray) -> np.ndarray:
    layer = method.networks["classifier"]
    logits = codes @ layer.weight.detach().numpy().T
    return logits if layer.bias is None else logits + layer.bias.detach().numpy()


def plain_dsh(u, u0, y, m):
    def pair(i, j):
        d = sum((a - b) ** 2 for a, b in zip(u[i], u[j]))
        core = 0.5 * d if alike(y, i, j) else 0.5 * max(2 * K - d, 0)
        penalty = sum(abs(abs(a) - 1) for a in u[i]) + sum(abs(abs(a) - 1) for a in u[j])
        return core + 0.01 * penalty

    return pairs(pair)


def likelihood(u, y):
    return pairs(lambda i, j: nll(0.5 * float(u[i] @ u[j]), alike(y, i, j)))


def plain_dpsh(u, u0, y, m):
    return likelihood(u, y) + 0.1 * np.mean([(a - sgn(b)) ** 2 for a, b in zip(u.flat, u0.flat)])


def plain_dhn(u, u0, y, m):
    h = np.tanh(u)  # the paper's hash layer (fch) and DeepHash's AlexNet end in tanh
    return likelihood(h, y) + 0.1 * every(h, lambda a: math.log(math.cosh(abs(a) - 1)))


def plain_dbdh(u, u0, y, m):
    v = np.array([[max(-1.0, min(1.0, a)) for a in row] for row in u])
    return likelihood(v, y) + 0.1 * np.mean([abs(sum(row) / K) ** 2 for row in v])


def plain_lcdsh(u, u0, y, m):
    def gap(i, j):
        target = 0.5 * sum(sgn(a) * sgn(b) for a, b in zip(u0[i], u0[j]))
        return (sig(0.5 * float(u[i] @ u[j])) - sig(target)) ** 2

    return likelihood(u, y) + 3 * pairs(gap)


def plain_hashnet(u, u0, y, m):
    g = np.tanh(u)  # beta is 1 at the start
    similar = [(i, j) for i in range(N) for j in range(N) if i != j and alike(y, i, j)]
    other = [(i, j) for i in range(N) for j in range(N) if i != j and not alike(y, i, j)]
    total = len(similar) + len(other)
    value = weight = 0.0
    for group, s in ((similar, 1.0), (other, 0.0)):
        for i, j in group:
            shared = sum(min(a, b) for a, b in zip(y[i], y[j]))
            union = sum(max(a, b) for a, b in zip(y[i], y[j]))
            w = total / len(group) * (shared / union if s else 1.0)
            value += w * nll(10 / K * float(g[i] @ g[j]), s)
            weight += w
    return value / weight


def plain_dch(u, u0, y, m):
    def distance(a, b):
        return K / 2 * (1 - cos(a, b)) + 1e-3

    count = sum(alike(y, i, j) for i in range(N) for j in range(N) if i != j)
    total = N * (N - 1)

    def pair(i, j):
        d, s = distance(u[i], u[j]), alike(y, i, j)
        w = total / count if s else total / (total - count)
        return w * (s * math.log(d / 20) + math.log(1 + 20 / d))

    polar = np.mean([math.log(1 + distance([abs(a) for a in row], [1.0] * K) / 20) for row in u])
    return pairs(pair) + 0.1 * polar


def plain_idhn(u, u0, y, m):
    v = np.array([[a / (1 + abs(a)) for a in row] for row in u])
    hard, soft = [], []
    for i in range(N):
        for j in range(N):
            if i == j:
                continue
            s, inner = cos(y[i], y[j]), float(v[i] @ v[j])
            if s > 0.99 or s < 0.01:
                hard.append(nll(5 * inner / K, round(s)))
            else:
                soft.append(0.1 * K * ((inner + K) / (2 * K) - s) ** 2)
    total = N * (N - 1)
    return (sum(hard) + sum(soft)) / total + 0.1 * every(v, lambda a: abs(abs(a) - 1))


def plain_qsmih(u, u0, y, m):
    d = [[alike(y, i, j) for j in range(N)] for i in range(N)]
    big = N * N / sum(map(sum, d))
    total = 0.0
    for i in range(N):
        for j in range(N):
            close = 0.5 * (cos(u[i], u[j]) + 1)
            total += (d[i][j] * close - 1) ** 2 + close**2 / big
    return (total + 0.01 * sum(abs(abs(a) - 1) for a in u.flat)) / N**2


def triples(y):
    for a in range(N):
        yield [
            (a, p, n) for p in range(N) for n in range(N) if p != a and alike(y, a, p) and not alike(y, a, n)
        ]


def plain_dtsh(u, u0, y, m):
    means = []
    for group in triples(y):
        values = []
        for a, p, n in group:
            t = 0.5 * float(u[a] @ u[p]) - 0.5 * float(u[a] @ u[n]) - K / 2
            values.append(math.log(1 + math.exp(t)) - t)
        if values:
            means.append(sum(values) / len(values))
    return np.mean(means) + np.mean([(a - sgn(b)) ** 2 for a, b in zip(u.flat, u0.flat)])


def plain_dnnh(u, u0, y, m):
    f = np.array([[0.0 if a < -0.45 else 1.0 if a > 0.45 else a + 0.5 for a in row] for row in u])
    means = []
    for group in triples(y):
        values = [max(0.0, ((f[a] - f[p]) ** 2).sum() - ((f[a] - f[n]) ** 2).sum() + 1) for a, p, n in group]
        if values:
            means.append(sum(values) / len(values))
    return np.mean(means)


def plain_dsdh(u, u0, y, m):
    codes = m.buffers["codes"].numpy()
    gap = sum((u[i, k] - codes[i, k]) ** 2 for i in range(N) for k in range(K))
    return likelihood(u, y) + 55 / 5000 * gap / N  # the paper's eta, at the paper's 5,000 training images


def plain_adsh(u, u0, y, m):
    v = m.buffers["codes"].numpy()
    same = sum(alike(y, i, j) for i in range(N) for j in range(N))
    r = same / (N * N - same)
    h = np.tanh(u)
    total = 0.0
    for i in range(N):
        for j in range(N):
            s = 1.0 if alike(y, i, j) else -r
            total += (float(h[i] @ v[j]) - K * s) ** 2
    gap = sum((h[i, k] - v[i, k]) ** 2 for i in range(N) for k in range(K))
    return total / N**2 + 200 / N * gap / N


def plain_dfh(u, u0, y, m):
    c = plain_dfh.centres
    shares = y / y.sum(1, keepdims=True)

    def pair(i, j):
        theta = 0.5 * float(u[i] @ u[j])
        return math.log(1 + math.exp(-theta)) if alike(y, i, j) else math.log(1 + math.exp(theta))

    gap = 0.0
    for i in range(N):
        for k in range(K):
            b = sgn(sum(c[k, q] * shares[i, q] for q in range(C)) + u0[i, k])
            gap += (b - u[i, k]) ** 2
    return pairs(pair) + 0.5 * gap / (N * K)


def plain_greedyhash(u, u0, y, m):
    codes = np.vectorize(sgn)(u0) + (u - u0)
    return soft_cross_entropy(classifier(m, codes), y) + 0.1 * every(u, lambda a: abs(abs(a) - 1) ** 3)


def plain_cross_entropy(u, u0, y, m):
    return soft_cross_entropy(classifier(m, u), y)


def halves(u0: np.ndarray) -> np.ndarray:
    codes = -np.ones_like(u0)
    for k in range(u0.shape[1]):
        for i in sorted(range(len(u0)), key=lambda i: -u0[i, k])[: len(u0) // 2]:
            codes[i, k] = 1.0
    return codes


def pulled(u: np.ndarray, u0: np.ndarray, codes: np.ndarray, gamma: float = 6.0) -> float:
    """gamma / (2 N K) sum (u - b)^2, shifted to be 0 at u0: its gradient is the layer's extra term."""
    return gamma / (2 * u.size) * float(((u - codes) ** 2 - (u0 - codes) ** 2).sum())


def plain_bihalf(u, u0, y, m):
    codes = halves(u0)
    return soft_cross_entropy(classifier(m, codes + (u - u0)), y) + pulled(u, u0, codes)


def drawn(u: np.ndarray, u0: np.ndarray, m: StepwiseMethod) -> np.ndarray:
    """2 b - 1 for b = [sigma(u0) > uniform], moving with sigma(u) as a straight-through draw does."""
    draw = torch.rand(u0.shape, generator=m.ctx.generator("bits", 0)).double().numpy()
    p, p0 = (np.vectorize(sig)(x) for x in (u, u0))
    return 2 * ((p0 > draw) + (p - p0)) - 1


def plain_jmlh(u, u0, y, m):
    divergence = 0.0
    for a in u.flat:
        q = sig(a)
        divergence += q * math.log(q / 0.5) + (1 - q) * math.log((1 - q) / 0.5)
    return soft_cross_entropy(classifier(m, drawn(u, u0, m)), y) + 0.1 * divergence / N


def plain_cibhash(u, u0, y, m):
    codes, half = drawn(u, u0, m), N // 2
    total = 0.0
    for i in range(N):
        logits = {j: cos(codes[i], codes[j]) / 0.3 for j in range(N) if j != i}
        total += math.log(sum(math.exp(z) for z in logits.values())) - logits[(i + half) % N]
    divergence = 0.0
    for i in range(
        N
    ):  # CIBHash.py: (compute_kl(p_i, p_j) + compute_kl(p_j, p_i)) / 2, the second one detached
        for a, b in zip(u[i], u0[(i + half) % N]):
            p, q = sig(a), sig(b)
            divergence += (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))) / 2
    return total / N + 1e-3 * divergence / half


def central_targets(m: StepwiseMethod, y: np.ndarray) -> np.ndarray:
    centres, ties = m.buffers["centres"].numpy(), m.buffers["ties"].numpy()
    targets = np.empty((N, K))
    for i in range(N):
        for k in range(K):
            vote = sum(centres[c, k] for c in range(C) if y[i, c])
            targets[i, k] = ties[k] if vote == 0 else sgn(vote)
    return targets


def plain_csq(u, u0, y, m):
    t = central_targets(m, y)
    h = np.tanh(u)
    entropy = 0.0
    for i in range(N):
        for k in range(K):
            p, q = (h[i, k] + 1) / 2, (t[i, k] + 1) / 2
            entropy -= q * math.log(p) + (1 - q) * math.log(1 - p)
    return entropy / (N * K) + 1e-3 * every(h, lambda a: (abs(a) - 1) ** 2)


def plain_dpn(u, u0, y, m):
    t = m.buffers["targets"].numpy()
    total = 0.0
    for i in range(N):
        for c in range(C):
            if y[i, c]:
                total += sum(max(1 - u[i, k] * t[c, k], 0) for k in range(K))
    return total / N


def plain_orthohash(u, u0, y, m):
    book = m.buffers["codebook"].numpy()
    logits = np.array(
        [[2.0 * (cos(row, o) - 0.2 * hot) for o, hot in zip(book, yy)] for row, yy in zip(u, y)]
    )
    return soft_cross_entropy(logits, y)


def plain_cnnh(u, u0, y, m):
    h = m.buffers["codes"].numpy()
    return sum((u[i, k] - h[i, k]) ** 2 for i in range(N) for k in range(K)) / (N * K)


def plain_hswd(u, u0, y, m):
    draw = torch.randint(0, 2, (N, K), generator=m.ctx.generator("signs", 0)).double().numpy() * 2 - 1
    total = 0.0
    for k in range(K):
        rank = sorted(range(N), key=lambda i: u0[i, k])
        total += sum((r - u[i, k]) ** 2 for r, i in zip(sorted(draw[:, k]), rank))
    return plain_hashnet(u, u0, y, m) + 0.1 * total / (N * K)


def copied(codes: np.ndarray, m: StepwiseMethod) -> float:
    pixels = plain_bihalf_u.images.reshape(N, -1)
    reference = m.networks["reference"]
    features = pixels - reference.mean.numpy()
    half = N // 2
    return np.mean(
        [
            (cos(codes[i], codes[j]) - cos(features[i], features[j])) ** 2
            for i in range(half)
            for j in range(half, N)
        ]
    )


def plain_bihalf_u(u, u0, y, m):
    codes = halves(u0)
    return copied(codes + (u - u0), m) + pulled(u, u0, codes)


def plain_greedyhash_u(u, u0, y, m):
    codes = np.vectorize(sgn)(u0) + (u - u0)
    return copied(codes, m) + 0.1 * every(u, lambda a: abs(abs(a) - 1) ** 3)


def plain_mihash(u, u0, y, m):
    """mi_forward.m: centres 0, 2, 4 (K/2 bins), triangular pulses, entropies in bits; the release maximises it."""
    h = 2 / (1 + np.exp(-u)) - 1

    def entropy(weights: list[float]) -> float:
        return -sum(w * math.log2(w / sum(weights)) for w in weights if w > 0) / sum(weights)

    total = 0.0
    for i in range(N):
        counts = {1.0: [0.0] * 3, 0.0: [0.0] * 3}
        for j in range(N):
            d = (K - sum(a * b for a, b in zip(h[i], h[j]))) / 2
            for place in range(3 if i != j else 0):
                counts[alike(y, i, j)][place] += max(0.0, 1 - abs(d - 2 * place) / 2)
        both = [sum(pair) for pair in zip(*counts.values())]
        if all(sum(part) for part in counts.values()):
            total += entropy(both) - sum(sum(part) / sum(both) * entropy(part) for part in counts.values())
    return -total / N


def plain_dshsd(u, u0, y, m):
    h = np.tanh(u)

    def pair(i, j):
        d = sum((a - b) ** 2 for a, b in zip(h[i], h[j]))
        return 0.5 * d if alike(y, i, j) else 0.5 * max(2 * K - d, 0)

    logits = classifier(m, h)
    if (y.sum(1) > 1).any():  # eq. 8: o - y o + log(1 + e^-o), summed over classes
        right = sum(o - t * o + math.log(1 + math.exp(-o)) for o, t in zip(logits.flat, y.flat)) / N
    else:
        right = soft_cross_entropy(logits, y)
    return right + 0.05 * pairs(pair)


def plain_sdh_c(u, u0, y, m):
    h = np.tanh(u)
    w = m.networks["hash"].head.weight.detach().numpy()
    apart = [(sum(w[i] * w[j]) - (i == j)) ** 2 for i in range(K) for j in range(K)]
    polar = np.mean([(a - sgn(b)) ** 2 for a, b in zip(h.flat, u0.flat)])
    spread = every(h, lambda a: a * a) / 2
    return soft_cross_entropy(classifier(m, h), y) + 1e-3 * (polar - spread + np.mean(apart))


def plain_ssdh(u, u0, y, m):
    """main.py of the release but for the diagonal: |S| (H H^T / K - S)^2, S in {-1, 0, 1}, a network with tanh."""
    h, x = np.tanh(u), plain_bihalf_u.images.reshape(N, -1) - m.networks["reference"].mean.numpy()
    near, far = m.buffers["limits"].tolist()
    total = 0.0
    for i, j in np.ndindex(N, N):
        d = 1 - cos(x[i], x[j])
        s = 1 if d < near else -1 if d > far else 0
        total += abs(s) * (sum(h[i] * h[j]) / K - s) ** 2 * (i != j)
    return total / (N * N - N)


PLAIN: dict[str, Plain] = {
    name[len("plain_") :]: value for name, value in list(globals().items()) if name.startswith("plain_")
}


def make(name: str, labels: np.ndarray, **params: Any) -> tuple[StepwiseMethod, Batch]:
    module = importlib.import_module(f"methods.{name}")
    cls = next(
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, StepwiseMethod)
        and value.__module__ == module.__name__
    )
    method = cls(cls.Params(**params))
    task = Task(K, C, 1, 4, 4, bool((labels.sum(1) > 1).any()), backbone="pixels")
    ctx = FitContext(task, torch.device("cpu"), batch_size=N, updates=100)
    images = torch.randint(0, 256, (N, 1, 4, 4), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    y = torch.from_numpy(labels)
    method._assemble(ctx)
    method.begin(HashData(task, images, y.to(torch.uint8), images[:0]))
    method.networks.double()
    method.buffers = {
        key: value.double() if value.is_floating_point() else value for key, value in method.buffers.items()
    }
    if hasattr(method, "set_labels"):
        method.set_labels = y
    scaled = images.double() / 127.5 - 1
    plain_bihalf_u.images = scaled.numpy()
    return method, Batch(scaled, y, torch.arange(N), 0, 0.0)


@pytest.mark.parametrize("labels", [SINGLE, MULTI], ids=["single", "multi"])
@pytest.mark.parametrize("name", sorted(PLAIN))
def test_a_loss_and_its_gradient_equal_the_plain_statement(name: str, labels: np.ndarray) -> None:
    # Two deviations leave none of so few pairs.
    method, batch = make(name, labels, **({"near": 0.2, "far": 0.2} if name == "ssdh" else {}))
    generator = np.random.default_rng(3)
    u0 = generator.normal(size=(N, K)) * (0.25 if name == "dnnh" else 0.8)
    u0[np.abs(np.abs(u0) - 1) < 0.02] *= 1.1  # away from the kinks of |u| = 1
    if "centres" in method.buffers:
        plain_dfh.centres = method.buffers["centres"].numpy().copy()
    if hasattr(method, "base"):
        method.base.buffers = method.buffers
    plain = PLAIN[name]
    outputs = torch.from_numpy(u0.copy()).requires_grad_()
    loss = torch.stack([value.double() for value in method.loss(outputs, batch).values()]).sum()
    assert loss.item() == pytest.approx(plain(u0, u0, labels, method), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, outputs)
    numerical = np.zeros_like(u0)
    for place in np.ndindex(*u0.shape):
        step = np.zeros_like(u0)
        step[place] = 1e-6
        ends = [plain(u0 + sign * step, u0, labels, method) for sign in (1, -1)]
        numerical[place] = (ends[0] - ends[1]) / 2e-6
    assert np.abs(numerical).max() > 1e-4
    np.testing.assert_allclose(gradient.numpy(), numerical, rtol=2e-5, atol=2e-7)


@pytest.mark.parametrize("name", sorted(PLAIN))
@pytest.mark.parametrize(
    "case", ["one image", "one class", "no two alike", "no label", "some without", "far out"]
)
def test_no_batch_makes_a_loss_or_its_gradient_infinite(name: str, case: str) -> None:
    """Nor does one whose pairs or triplets are all of one kind, or missing, and codes that agree to the bit."""
    labels = {
        "one image": SINGLE[:1],
        "one class": SINGLE[[0] * N],
        "no two alike": np.eye(C),
        "no label": np.zeros((N, C)),
        "some without": MULTI * [[1], [0], [1], [1], [0], [1]],
    }.get(case, MULTI)
    method, whole = make(name, np.resize(labels, (N, C)))
    if hasattr(method, "base"):
        method.base.buffers = method.buffers
    count = len(labels)
    batch = Batch(whole.images[:count], torch.from_numpy(labels), whole.index[:count], 0, 0.0)
    size = 1e4 if case == "far out" else 1.0
    outputs = size * torch.randn(count, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for point in (outputs, outputs[:1].expand(count, K), outputs.sign()):
        u = point.clone().requires_grad_()
        u_views = u if name != "cibhash" else torch.cat([u, u])
        losses = method.loss(u_views, batch)
        total = torch.stack([value.double() for value in losses.values()]).sum()
        (gradient,) = torch.autograd.grad(total, u, allow_unused=True)
        assert torch.isfinite(total), losses
        assert gradient is None or torch.isfinite(gradient).all()
