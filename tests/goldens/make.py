#!/usr/bin/env python3
"""Write the golden files: numbers PyTorch computes, which the Rust tests must meet.

    pip install torch safetensors numpy
    python3 tests/goldens/make.py                      # everything (under a minute)
    python3 tests/goldens/make.py --only ops optim     # some of the files
    python3 tests/goldens/make.py --out /some/folder   # elsewhere, to compare
    python3 tests/goldens/make.py --digits digits.csv.gz   # first rebuild src/data/digits.bin

The files land next to this script:

    curves.json               loss of each of 50 training steps, per model and optimizer
    MODEL.init.safetensors    the weights those runs start from
    ops.json                  single operators: inputs, output, gradients
    optim.json                optimizers: parameter after each of 12 steps
    schedules.json            learning rate at each of 30 steps
    pth/*.pth                 a few tensors in each way in which torch.save leaves them

README.md describes their layout. One thread, CPU, fixed seeds: a second run with the
same torch version on the same kind of CPU gives the same bytes.
"""

import argparse
import gzip
import json
import math
import zlib
from collections import OrderedDict
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).resolve().parent
DIGITS = HERE.parents[1] / "src" / "data" / "digits.bin"

# --------------------------------------------------------------------------- output


def rounded(value, digits):
    """`value` with every float in it cut to `digits` significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") + 0.0  # + 0.0 turns -0.0 into 0.0
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v, digits) for v in value]
    return value


def write_json(path, value, digits):
    """Compact JSON with one top-level entry per line, so that diffs stay readable."""
    value = rounded(value, digits)

    def dump(v):
        return json.dumps(v, separators=(",", ":"), allow_nan=False)

    if isinstance(value, dict):
        lines, (left, right) = [f"{json.dumps(k)}:{dump(v)}" for k, v in value.items()], "{}"
    else:
        lines, (left, right) = [dump(v) for v in value], "[]"
    path.write_text(f"{left}\n" + ",\n".join(lines) + f"\n{right}\n")
    print(f"{path.name}: {len(lines)} entries, {path.stat().st_size} bytes")


# --------------------------------------------------------------------------- digits

RECORD = 65  # 64 pixels of 0..=16, row by row, then the label


def pack_digits(csv_gz):
    """Turn the CSV (64 values and the label per line) into 65-byte records."""
    out = bytearray()
    with gzip.open(csv_gz, "rt") as lines:
        for line in lines:
            record = [int(float(x)) for x in line.split(",")]
            assert len(record) == RECORD and max(record[:64]) <= 16 and record[64] <= 9
            out += bytes(record)
    assert len(out) == 1797 * RECORD
    DIGITS.write_bytes(out)
    print(f"{DIGITS.name}: {len(out)} bytes")


def load_digits():
    """Pixels [1797, 8, 8] and labels [1797], both int64."""
    records = torch.frombuffer(bytearray(DIGITS.read_bytes()), dtype=torch.uint8)
    records = records.view(-1, RECORD).to(torch.int64)
    assert records.shape[0] == 1797
    return records[:, :64].reshape(-1, 8, 8), records[:, 64]


def enlarge(pixels, size):
    """8x8 pixels of 0..=16 to size x size bytes: bilinear, in whole numbers only.

    Output pixel i sits at (i + 1/2) * 8 / size - 1/2 in the small picture, held inside
    0..=7. In units of 1 / (2 size) that is a whole number, so the two neighbours' weights
    along an axis are whole too and add up to 2 size.
    """
    unit = 2 * size
    pos = ((2 * torch.arange(size) + 1) * 8 - size).clamp(0, 7 * unit)
    low, frac = pos // unit, pos % unit
    high = (low + 1).clamp(max=7)
    rows = pixels[:, low, :] * (unit - frac)[:, None] + pixels[:, high, :] * frac[:, None]
    both = rows[:, :, low] * (unit - frac) + rows[:, :, high] * frac
    # 16 becomes 255; halves round up.
    return (both * 255 + 8 * unit * unit) // (16 * unit * unit)


def mean_std(pixels):
    """Mean and (population) deviation of all digits at 28x28 on the 0..1 scale."""
    values = enlarge(pixels, 28).to(torch.float64) / 255
    mean, std = values.mean().item(), values.std(correction=0).item()
    print(f"digits at 28x28: mean {mean:.6f}, std {std:.6f}")
    return round(mean, 4), round(std, 4)


def network_input(pixels, shape, mean, std):
    """Normalised float32 pictures [n, channels, size, size]; grey goes to every channel."""
    channels, size, _ = shape
    x = enlarge(pixels, size).to(torch.float32) / torch.tensor(255, dtype=torch.float32)
    x = (x - torch.tensor(mean, dtype=torch.float32)) / torch.tensor(std, dtype=torch.float32)
    return x[:, None].repeat(1, channels, 1, 1)


# --------------------------------------------------------------------------- curves


def lenet5():
    return OrderedDict(
        conv1=nn.Conv2d(1, 6, 5, padding=2), act1=nn.ReLU(), pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(6, 16, 5), act2=nn.ReLU(), pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(400, 120), act3=nn.ReLU(),
        fc2=nn.Linear(120, 84), act4=nn.ReLU(),
        fc3=nn.Linear(84, 10),
    )  # fmt: skip


def lenet5_1998():
    return OrderedDict(
        conv1=nn.Conv2d(1, 6, 5, padding=2), act1=nn.Tanh(), pool1=nn.AvgPool2d(2),
        conv2=nn.Conv2d(6, 16, 5), act2=nn.Tanh(), pool2=nn.AvgPool2d(2),
        conv3=nn.Conv2d(16, 120, 5), act3=nn.Tanh(),
        flatten=nn.Flatten(),
        fc1=nn.Linear(120, 84), act4=nn.Tanh(),
        fc2=nn.Linear(84, 10),
    )  # fmt: skip


def tutorial():
    return OrderedDict(
        conv1=nn.Conv2d(3, 8, 5), act1=nn.ReLU(), pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(8, 16, 5), act2=nn.ReLU(), pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc3=nn.Linear(400, 120), act3=nn.ReLU(),
        fc4=nn.Linear(120, 84), act4=nn.ReLU(),
        fc5=nn.Linear(84, 10),
    )  # fmt: skip


# name: (layers, input shape, parameters in total)
MODELS = {
    "lenet5": (lenet5, (1, 28, 28), 61706),
    "lenet5-1998": (lenet5_1998, (1, 28, 28), 61706),
    "tutorial": (tutorial, (3, 32, 32), 608 + 3216 + 48120 + 10164 + 850),
}


def build(name):
    """The model with PyTorch's default initial weights from its seed, float32."""
    layers, _, parameters = MODELS[name]
    torch.manual_seed(SEEDS[name])
    model = nn.Sequential(layers())
    assert sum(p.numel() for p in model.parameters()) == parameters, name
    return model


def sgd(lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    return dict(kind="sgd", lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)


def adam(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, kind="adam"):
    return dict(kind=kind, lr=lr, betas=list(betas), eps=eps, weight_decay=weight_decay)


def rmsprop(lr, alpha=0.99, eps=1e-8, momentum=0.0, centered=False, weight_decay=0.0):
    return dict(kind="rmsprop", lr=lr, alpha=alpha, eps=eps, momentum=momentum, centered=centered,
                weight_decay=weight_decay)  # fmt: skip


def optimizer(params, spec):
    """The torch optimizer for one of the dictionaries above."""
    spec = dict(spec)
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
            "rmsprop": torch.optim.RMSprop}  # fmt: skip
    return kind[spec.pop("kind")](params, foreach=False, **spec)


BATCH, STEPS = 32, 50

# A run pushes millions of values through relu and max pooling, and now and then one lies so
# close to a kink that rounding decides its side; from there the curve takes another course
# (off by 1e-3 and more), however right the arithmetic is. The odd-looking rates were
# searched for: the loss falls, float32 and float64 agree to AGREE at every step, and so do
# nearly all the runs from initial weights shaken by about their own rounding error. Where
# those part after all, `spread` and `stable_steps` in the file say when.
AGREE = 2e-5
SHAKES, SHAKE = 8, 2.0**-23
RUNS = {
    "lenet5/sgd": sgd(0.0165, 0.9, weight_decay=5e-4),
    "lenet5/sgd-nesterov": sgd(0.0145, 0.9, nesterov=True, weight_decay=5e-4),
    "lenet5/adam": adam(8e-4),
    "lenet5/adamw": adam(5e-4, weight_decay=0.01, kind="adamw"),
    "lenet5-1998/sgd": sgd(0.05, 0.9, weight_decay=5e-4),
    "lenet5-1998/adam": adam(1e-3),
    "tutorial/sgd": sgd(0.008, 0.9, weight_decay=5e-4),
    "tutorial/adam": adam(4e-4),
}


# Of the first weights; chosen together with the rates, for the same reason.
SEEDS = {"lenet5": 0, "lenet5-1998": 0, "tutorial": 3}


def train(model, spec, x, y):
    """Loss of each batch before its update; batches in file order."""
    opt = optimizer(model.parameters(), spec)
    losses = []
    for step in range(STEPS):
        at = slice(step * BATCH, (step + 1) * BATCH)
        opt.zero_grad()
        loss = F.cross_entropy(model(x[at]), y[at])
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


def gaps(curve, exact):
    """Relative difference of two loss curves at each step."""
    return [abs(p - q) / abs(q) for p, q in zip(curve, exact)]


def shaken(model, seed):
    """The model with each weight off by up to SHAKE of itself."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1 + SHAKE * torch.empty_like(p).uniform_(-1, 1, generator=rng))
    return model


def make_curves(out):
    pixels, labels = load_digits()
    mean, std = mean_std(pixels)
    pixels28, pixels32 = enlarge(pixels, 28), enlarge(pixels, 32)
    # The sums over all enlarged bytes tell a wrong picture from wrong training.
    curves = {
        "mean": mean,
        "std": std,
        "u8_sum": {"28": int(pixels28.sum()), "32": int(pixels32.sum())},
    }
    used = slice(0, BATCH * STEPS)
    y = labels[used]
    for name in MODELS:
        weights = {k: v.clone().contiguous() for k, v in build(name).state_dict().items()}
        path = out / f"{name}.init.safetensors"
        save_file(weights, path)
        path.chmod(0o644)
        print(f"{path.name}: {len(weights)} tensors, {path.stat().st_size} bytes")
    for run, spec in RUNS.items():
        name = run.split("/")[0]
        x = network_input(pixels[used], MODELS[name][1], mean, std)
        single = train(build(name), spec, x, y)
        double = train(build(name).double(), spec, x.double(), y)
        gap = gaps(single, double)
        # Per step, how far the worst of the shaken runs lies from the float64 curve.
        others = [gaps(train(shaken(build(name), k), spec, x, y), double) for k in range(SHAKES)]
        spread = [max(at) for at in zip(gap, *others)]
        stable = next((i for i, s in enumerate(spread) if s > AGREE), STEPS)
        start, end = single[0], sum(single[-5:]) / 5
        print(f"  {run}: loss {start:.4f} -> {end:.4f} (mean of last 5), f32 to f64 "
              f"{max(gap):.1e}, shaken {max(spread):.1e}, stable for {stable} steps")  # fmt: skip
        assert all(map(math.isfinite, single)) and max(single) < 1.5 * start, f"{run} blows up"
        assert end < 0.95 * start, f"{run} does not learn"
        assert max(gap) <= AGREE, f"{run}: float32 and float64 part by {max(gap):.1e}"
        assert stable >= 40, f"{run}: chaotic after {stable} steps"
        curves[run] = {
            "model": name,
            "batch_size": BATCH,
            "optimizer": spec,
            "losses": single,
            "losses_f64": double,
            "spread": [float(f"{s:.1e}") for s in spread],
            "stable_steps": stable,
        }
    write_json(out / "curves.json", curves, 9)


# ------------------------------------------------------------------------------ ops


class Ops:
    """Collects cases. Each draws its inputs from a seed made of its own name, so that a
    new case leaves the numbers of the others alone."""

    def __init__(self):
        self.cases = []

    def begin(self, op, note):
        self.name = f"{op} {note}".strip()
        assert all(c["name"] != self.name for c in self.cases), self.name
        self.rng = torch.Generator().manual_seed(zlib.crc32(self.name.encode()))

    def rand(self, *shape):
        """Multiples of 1/64 in [-1, 1]: exact in float32."""
        n = torch.randint(-64, 65, shape, generator=self.rng)
        return n.to(torch.float64) / 64

    def distinct(self, n, c, h, w):
        """Like rand, but no value twice in a plane: each pooling window has one maximum."""
        planes = [torch.randperm(129, generator=self.rng)[: h * w] for _ in range(n * c)]
        return (torch.stack(planes).view(n, c, h, w) - 64).to(torch.float64) / 64

    def add(self, op, attrs, inputs, f, fixed=()):
        """Run f(**inputs), then back from a random gradient of its output. No gradient is
        asked for by inputs named in `fixed`."""
        leaves = {
            k: v.clone().requires_grad_() if v.is_floating_point() and k not in fixed else v
            for k, v in inputs.items()
        }
        output = f(**leaves)
        # A scalar loss is where the way back starts, so its gradient is 1.
        grad = self.rand(*output.shape) if output.dim() else torch.ones_like(output)
        output.backward(grad)
        self.cases.append({
            "op": op,
            "name": self.name,
            "attrs": attrs,
            "inputs": {k: tensor(v) for k, v in inputs.items()},
            "output": tensor(output),
            "grad_output": tensor(grad),
            "grads": {k: tensor(v.grad) for k, v in leaves.items() if v.requires_grad},
            **({"fixed": list(fixed)} if fixed else {}),
        })  # fmt: skip


def tensor(t):
    return {"shape": list(t.shape), "data": t.detach().flatten().tolist()}


def conv_cases(ops):
    def conv(note, x, w, bias=True, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
        ops.begin("conv2d", note)
        inputs = {"input": ops.rand(*x), "weight": ops.rand(*w)}
        if bias:
            inputs["bias"] = ops.rand(w[0])
        attrs = dict(
            stride=list(stride), padding=list(padding), dilation=list(dilation), groups=groups
        )
        ops.add("conv2d", attrs, inputs, lambda input, weight, bias=None: F.conv2d(
            input, weight, bias, stride, padding, dilation, groups))  # fmt: skip

    conv("1x1", (2, 3, 4, 5), (4, 3, 1, 1))
    conv("1x1 no bias", (2, 3, 4, 4), (2, 3, 1, 1), bias=False)
    conv("1x1 s2", (1, 3, 5, 6), (4, 3, 1, 1), stride=(2, 2))
    conv("3x3", (2, 2, 5, 6), (3, 2, 3, 3))
    conv("3x3 no bias", (1, 3, 5, 5), (2, 3, 3, 3), bias=False)
    conv("3x3 p1", (2, 2, 4, 5), (3, 2, 3, 3), padding=(1, 1))
    conv("3x3 s2 p1", (2, 2, 7, 6), (3, 2, 3, 3), stride=(2, 2), padding=(1, 1))
    conv("3x3 s2 leftover", (1, 2, 6, 8), (2, 2, 3, 3), stride=(2, 2))
    conv("3x3 s3 p2", (1, 2, 8, 9), (2, 2, 3, 3), stride=(3, 3), padding=(2, 2))
    conv("3x3 s1x2 p0x1", (1, 2, 5, 7), (3, 2, 3, 3), stride=(1, 2), padding=(0, 1))
    conv("3x3 s3x1 p2x0", (1, 2, 7, 5), (2, 2, 3, 3), stride=(3, 1), padding=(2, 0))
    conv("3x3 d2", (1, 2, 7, 8), (2, 2, 3, 3), dilation=(2, 2))
    conv("3x3 d2 p2 s2", (1, 2, 7, 7), (3, 2, 3, 3), True, (2, 2), (2, 2), (2, 2))
    conv("3x3 d1x2 p3x1", (1, 1, 5, 7), (2, 1, 3, 3), padding=(3, 1), dilation=(1, 2))
    conv("3x3 groups 2", (2, 4, 5, 5), (6, 2, 3, 3), padding=(1, 1), groups=2)
    conv("3x3 groups 2 s2 no bias", (1, 4, 6, 5), (4, 2, 3, 3), False, (2, 2), (1, 1), groups=2)
    conv("3x3 depthwise", (2, 4, 5, 5), (4, 1, 3, 3), padding=(1, 1), groups=4)
    conv("3x3 depthwise s2 x2", (1, 3, 6, 6), (6, 1, 3, 3), True, (2, 2), (1, 1), groups=3)
    conv("2x3", (2, 2, 4, 5), (3, 2, 2, 3))
    conv("2x3 s2x1 p1x2 no bias", (1, 2, 5, 4), (3, 2, 2, 3), False, (2, 1), (1, 2))
    conv("2x3 d2x1 groups 2", (1, 4, 5, 5), (2, 2, 2, 3), dilation=(2, 1), groups=2)
    conv("5x5", (1, 2, 8, 8), (3, 2, 5, 5))
    conv("5x5 p2", (2, 1, 6, 6), (2, 1, 5, 5), padding=(2, 2))
    conv("5x5 p3x0 s2", (1, 2, 7, 8), (2, 2, 5, 5), stride=(2, 2), padding=(3, 0))
    conv("5x5 whole map", (3, 2, 5, 5), (4, 2, 5, 5))
    conv("11x11 s4 p2", (1, 1, 19, 19), (2, 1, 11, 11), stride=(4, 4), padding=(2, 2))
    conv("11x11 s4 no bias", (1, 2, 16, 15), (2, 2, 11, 11), bias=False, stride=(4, 4))


def pool_cases(ops):
    def pool(kind, note, shape, kernel, stride, padding=(0, 0), ceil=False, include=True, x=None):
        op = f"{kind}_pool2d"
        ops.begin(op, note)
        if x is None:
            x = ops.distinct(*shape)
        attrs = dict(
            kernel_size=list(kernel), stride=list(stride), padding=list(padding), ceil_mode=ceil
        )
        if kind == "max":
            def f(input):
                return F.max_pool2d(input, kernel, stride, padding, ceil_mode=ceil)
        else:
            attrs["count_include_pad"] = include
            def f(input):
                return F.avg_pool2d(input, kernel, stride, padding, ceil, include)
        ops.add(op, attrs, {"input": x}, f)

    for kind in ("max", "avg"):
        pool(kind, "2x2", (2, 2, 4, 6), (2, 2), (2, 2))
        pool(kind, "2x2 leftover", (1, 2, 5, 7), (2, 2), (2, 2))
        pool(kind, "2x2 leftover ceil", (1, 2, 5, 7), (2, 2), (2, 2), ceil=True)
        pool(kind, "3x3 s2 overlapping", (1, 2, 7, 9), (3, 3), (2, 2))
        pool(kind, "3x3 s1 overlapping p1", (1, 2, 5, 6), (3, 3), (1, 1), (1, 1))
        pool(kind, "3x3 s2 p1", (2, 1, 6, 7), (3, 3), (2, 2), (1, 1))
        pool(kind, "3x3 s2 p1 ceil", (1, 2, 6, 8), (3, 3), (2, 2), (1, 1), ceil=True)
        pool(kind, "2x3 s1x2", (1, 2, 5, 8), (2, 3), (1, 2))
        pool(kind, "3x2 s2x3 p1x0", (1, 2, 8, 7), (3, 2), (2, 3), (1, 0))
        pool(kind, "2x2 s3 gaps", (1, 2, 8, 8), (2, 2), (3, 3))
        pool(kind, "2x2 s3 gaps ceil", (1, 1, 7, 9), (2, 2), (3, 3), ceil=True)
        pool(kind, "4x4 global", (2, 3, 4, 4), (4, 4), (4, 4))
    # Which of several equal maxima gets the gradient: the first in row order.
    ties = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [-1, 2, 2, 1], [2, 2, 1, 2]]) / 4
    pool("max", "2x2 ties", None, (2, 2), (2, 2), x=ties.double()[None, None])
    pool("max", "3x3 s1 ties", None, (3, 3), (1, 1), x=ties.double()[None, None])
    pool("avg", "3x3 s2 p1 no pad counted", (2, 1, 6, 7), (3, 3), (2, 2), (1, 1), include=False)
    pool("avg", "3x3 s2 p1 ceil no pad counted", (1, 2, 6, 8), (3, 3), (2, 2), (1, 1), True, False)
    pool("avg", "3x2 s1 p1x1 no pad counted", (1, 1, 5, 6), (3, 2), (1, 1), (1, 1), include=False)
    pool("avg", "2x2 leftover ceil no pad counted", (1, 2, 5, 7), (2, 2), (2, 2), (0, 0), True, False)  # noqa: E501


    for op, f in (
        ("adaptive_avg_pool2d", F.adaptive_avg_pool2d), ("adaptive_max_pool2d", F.adaptive_max_pool2d)
    ):  # fmt: skip
        for shape, size in (
            ((2, 1, 7, 5), (3, 2)), ((1, 2, 3, 4), (5, 4)), ((1, 2, 6, 6), (2, 3)),
            ((2, 2, 5, 7), (1, 1)), ((1, 1, 9, 10), (1, 1)),
        ):  # fmt: skip
            ops.begin(op, f"{list(shape)} to {list(size)}")
            ops.add(op, {"output_size": list(size)}, {"input": ops.distinct(*shape)},
                    lambda input: f(input, size))  # fmt: skip


def dense_cases(ops):
    for n, i, o, bias in ((4, 6, 5, True), (1, 9, 3, True), (3, 7, 4, False), (5, 1, 1, True)):
        ops.begin("linear", f"{n}x{i} to {o}{'' if bias else ' no bias'}")
        inputs = {"input": ops.rand(n, i), "weight": ops.rand(o, i)}
        if bias:
            inputs["bias"] = ops.rand(o)
        ops.add("linear", {}, inputs, lambda input, weight, bias=None: F.linear(input, weight, bias))  # noqa: E501

    # a and b are stored as given; a transposed one is turned before the product.
    for m, k, n in ((4, 5, 3), (1, 8, 6), (7, 1, 5)):
        for ta in (False, True):
            for tb in (False, True):
                flags = ("T" if ta else "N") + ("T" if tb else "N")
                ops.begin("matmul", f"{m}x{k}x{n} {flags}")
                a = ops.rand(k, m) if ta else ops.rand(m, k)
                b = ops.rand(n, k) if tb else ops.rand(k, n)
                ops.add("matmul", {"transpose_a": ta, "transpose_b": tb}, {"a": a, "b": b},
                        lambda a, b: (a.T if ta else a) @ (b.T if tb else b))  # fmt: skip

    # Batches, with as many matrices of one operand or one that all meet.
    for of_a, of_b in (((2, 2), (2, 2)), ((3,), ()), ((), (3,))):
        for ta, tb in ((False, False), (True, False), (False, True), (True, True)):
            flags = ("T" if ta else "N") + ("T" if tb else "N")
            ops.begin("matmul", f"{list(of_a)} of 3x4 by {list(of_b)} of 4x2 {flags}")
            a = ops.rand(*of_a, *((4, 3) if ta else (3, 4)))
            b = ops.rand(*of_b, *((2, 4) if tb else (4, 2)))
            ops.add("matmul", {"transpose_a": ta, "transpose_b": tb}, {"a": a, "b": b},
                    lambda a, b: torch.matmul(a.mT if ta else a, b.mT if tb else b))  # fmt: skip
    ops.begin("linear", "2x3x4 to 5")
    ops.add("linear", {}, {"input": ops.rand(2, 3, 4), "weight": ops.rand(5, 4), "bias": ops.rand(5)},
            lambda input, weight, bias: F.linear(input, weight, bias))  # fmt: skip


def pointwise_cases(ops):
    shapes = [
        ((3, 5), (3, 5)), ((4, 6), (6,)), ((5,), (3, 5)), ((4, 1), (1, 5)),
        ((2, 3, 4), (3, 1)), ((2, 3, 2, 4), (1, 3, 1, 1)), ((2, 3, 4), (1,)), ((3, 4), ()),
    ]  # fmt: skip
    for op, f in (("add", torch.add), ("mul", torch.mul)):
        for a, b in shapes:
            ops.begin(op, f"{list(a)} {list(b)}")
            ops.add(op, {}, {"a": ops.rand(*a), "b": ops.rand(*b)}, lambda a, b: f(a, b))
    for op, f in (("relu", torch.relu), ("tanh", torch.tanh), ("sigmoid", torch.sigmoid)):
        ops.begin(op, "")
        x = ops.rand(4, 11)
        x[0, :2] = 0.0  # the slope of relu at 0 is 0
        ops.add(op, {}, {"input": x}, lambda input: f(input))
        ops.begin(op, "wide")
        ops.add(op, {}, {"input": ops.rand(3, 9) * 16}, lambda input: f(input))
    # Numbers in attrs are exact in float32.
    for op, attrs, f in (
        ("leaky_relu", {"negative_slope": 0.125}, F.leaky_relu),
        ("leaky_relu", {"negative_slope": -0.5}, F.leaky_relu),
        ("relu6", {}, F.relu6), ("hardswish", {}, F.hardswish), ("silu", {}, F.silu),
        ("gelu", {"approximate": "none"}, F.gelu), ("gelu", {"approximate": "tanh"}, F.gelu),
    ):  # fmt: skip
        ops.begin(op, " ".join(str(v) for v in attrs.values()))
        x = ops.rand(4, 11) * 10
        x[0, :2] = torch.tensor([0.0, 6.0])
        ops.add(op, attrs, {"input": x}, lambda input: f(input, **attrs))


def norm_cases(ops):
    for note, shape, size, attrs in (
        ("5 of 8", (2, 8, 2, 3), 5, dict(alpha=0.5, beta=0.75, k=2.0)),
        ("4 of 5", (1, 5, 4), 4, dict(alpha=1.0, beta=0.5, k=1.0)),
        ("7 of 3", (2, 3, 3), 7, dict(alpha=2.0, beta=1.25, k=0.5)),
    ):
        ops.begin("local_response_norm", note)
        ops.add("local_response_norm", {"size": size, **attrs}, {"input": ops.rand(*shape)},
                lambda input: F.local_response_norm(input, size, **attrs))  # fmt: skip
    # The offset is where mean(x^2) - mean(x)^2 would lose most digits.
    eps = 2.0**-10
    for shape, axes, weights, offset in (
        ((4, 6), 1, 2, 0), ((2, 3, 5), 2, 1, 0), ((3, 8), 1, 0, 0), ((2, 24), 1, 2, 8),
    ):  # fmt: skip
        ops.begin("layer_norm", f"{list(shape)} over {axes}{f' offset {offset}' if offset else ''}")
        extents = shape[-axes:]
        inputs = {"input": ops.rand(*shape) + offset}
        inputs.update({key: ops.rand(*extents) for key in ("weight", "bias")[:weights]})
        ops.add("layer_norm", {"axes": axes, "eps": eps}, inputs,
                lambda input, weight=None, bias=None:
                F.layer_norm(input, extents, weight, bias, eps))  # fmt: skip
    for shape, groups, weights in (((2, 4, 2, 3), 2, 2), ((2, 6, 4), 6, 2), ((2, 3, 2, 2), 1, 0)):
        ops.begin("group_norm", f"{list(shape)} in {groups}")
        inputs = {"input": ops.rand(*shape)}
        inputs.update({key: ops.rand(shape[1]) for key in ("weight", "bias")[:weights]})
        ops.add("group_norm", {"num_groups": groups, "eps": eps}, inputs,
                lambda input, weight=None, bias=None:
                F.group_norm(input, groups, weight, bias, eps))  # fmt: skip


def layout_cases(ops):
    for dim, shapes in ((1, ((2, 3, 2, 2), (2, 1, 2, 2), (2, 2, 2, 2))), (0, ((1, 3), (2, 3)))):
        ops.begin("concat", f"{len(shapes)} along {dim}")
        inputs = {f"x{i}": ops.rand(*shape) for i, shape in enumerate(shapes)}
        ops.add("concat", {"dim": dim}, inputs, lambda **x: torch.cat(list(x.values()), dim))
    for dim, start, length in ((0, 1, 1), (1, 2, 3), (2, 0, 2)):
        ops.begin("narrow", f"along {dim}")
        ops.add("narrow", {"dim": dim, "start": start, "length": length},
                {"input": ops.rand(2, 5, 3)}, lambda input: input.narrow(dim, start, length))  # fmt: skip
    # Left, right, top, bottom.
    for pad, value in (([1, 2, 0, 1], 0.0), ([-1, 1, 2, -2], 0.5)):
        ops.begin("pad", f"{pad} with {value}")
        ops.add("pad", {"pad": pad, "value": value}, {"input": ops.rand(2, 4, 3)},
                lambda input: F.pad(input, pad, value=value))  # fmt: skip
    for mode in ("reflect", "replicate"):
        for pad in ([2, 1, 0, 3], [1, 0, 3, 2]):
            ops.begin("pad", f"{pad} {mode}")
            ops.add("pad", {"pad": pad, "mode": mode}, {"input": ops.rand(2, 3, 4, 3)},
                    lambda input: F.pad(input, pad, mode=mode))  # fmt: skip
    ops.begin("permute", "")
    ops.add("permute", {"dims": [2, 0, 3, 1]}, {"input": ops.rand(2, 3, 4, 2)},
            lambda input: input.permute(2, 0, 3, 1))  # fmt: skip


def loss_cases(ops):
    for op, f in (("softmax", F.softmax), ("log_softmax", F.log_softmax)):
        for note, shape, scale in (("", (4, 10), 1), ("3d", (2, 3, 5), 1), ("wide", (3, 7), 64)):
            ops.begin(op, note)
            x = ops.rand(*shape) * scale
            ops.add(op, {"dim": -1}, {"input": x}, lambda input: f(input, dim=-1))
    for note, n, c, scale in (("", 6, 10, 1), ("one", 1, 3, 1), ("wide", 5, 7, 64)):
        ops.begin("cross_entropy", note)
        x = ops.rand(n, c) * scale
        y = torch.randint(0, c, (n,), generator=ops.rng)
        ops.add("cross_entropy", {"reduction": "mean"}, {"input": x, "target": y},
                lambda input, target: F.cross_entropy(input, target))  # fmt: skip
    option_cases(ops)
    for note, shape in (("", (4, 5)), ("4d", (2, 3, 2, 4))):
        ops.begin("mse_loss", note)
        ops.add("mse_loss", {"reduction": "mean"},
                {"input": ops.rand(*shape), "target": ops.rand(*shape)},
                lambda input, target: F.mse_loss(input, target))  # fmt: skip


def normalisation_cases(ops):
    for note, shape, training, eps in (
        ("", (3, 4, 5, 3), True, 2**-17), ("whole vectors", (2, 3, 4, 4), True, 2**-10),
        ("2d", (9, 5), True, 2**-17), ("inference", (2, 3, 3, 4), False, 2**-17),
    ):  # fmt: skip
        ops.begin("batch_norm", note)
        c = shape[1]
        inputs = {"input": ops.rand(*shape), "weight": ops.rand(c), "bias": ops.rand(c)}
        inputs |= {"mean": ops.rand(c), "var": ops.rand(c) ** 2 + 0.5}

        def f(input, weight, bias, mean, var):
            return F.batch_norm(input, mean.clone(), var.clone(), weight, bias, training, 0.1, eps)

        ops.add("batch_norm", {"training": training, "eps": eps}, inputs, f, fixed=["mean", "var"])
def option_cases(ops):
    """Losses with smoothing, weights, labels to leave out, and mixed labels."""

    def cross_entropy(note, n, c, smoothing=0.0, weighted=False, ignore=None, mixed=False):
        ops.begin("cross_entropy", note)
        inputs = {"input": ops.rand(n, c) * 4, "target": torch.randint(0, c, (n,), generator=ops.rng)}
        if mixed:
            inputs["partner"] = torch.randint(0, c, (n,), generator=ops.rng)
            inputs["lambda"] = ops.rand(1).abs() / 2 + 0.25
        if weighted:
            inputs["weight"] = ops.rand(c).abs() + 0.25
        attrs = {"reduction": "mean", "label_smoothing": smoothing, "ignore_index": ignore}

        def f(input, target, partner=None, weight=None, **rest):
            def loss(y):
                return F.cross_entropy(input, y, weight, label_smoothing=smoothing,
                                       ignore_index=-100 if ignore is None else ignore)  # fmt: skip
            if partner is None:
                return loss(target)
            share = rest["lambda"].squeeze(0)
            return share * loss(target) + (1 - share) * loss(partner)

        ops.add("cross_entropy", attrs, inputs, f, fixed=["lambda"] * mixed + ["weight"] * weighted)

    cross_entropy("smoothed", 5, 6, 0.125)
    cross_entropy("weighted", 5, 4, weighted=True)
    cross_entropy("ignoring", 6, 3, ignore=1)
    cross_entropy("smoothed weighted ignoring", 7, 4, 0.25, True, 2)
    cross_entropy("mixed", 5, 4, mixed=True)
    cross_entropy("smoothed mixed", 4, 5, 0.125, mixed=True)
    cross_entropy("smoothed weighted ignoring mixed", 8, 4, 0.125, True, 0, True)
    for note, n, c, scale, weighted in (("", 4, 5, 4, False), ("weighted", 3, 4, 4, True),
                                        ("wide", 4, 3, 64, False)):  # fmt: skip
        ops.begin("bce_with_logits", note)
        inputs = {"input": ops.rand(n, c) * scale, "target": ops.rand(n, c).abs()}
        if weighted:
            inputs["pos_weight"] = ops.rand(c).abs() + 0.25
        ops.add("bce_with_logits", {"reduction": "mean"}, inputs,
                lambda input, target, pos_weight=None: F.binary_cross_entropy_with_logits(
                    input, target, pos_weight=pos_weight),
                fixed=["target"] + ["pos_weight"] * weighted)  # fmt: skip


def reduce_cases(ops):
    for op, f in (("sum", torch.sum), ("mean", torch.mean)):
        for shape, axes in (
            ((4, 6), [0]), ((4, 6), [1]), ((3, 5), [0, 1]), ((3, 4, 5), [1]),
            ((2, 3, 4, 2), [0, 2, 3]), ((2, 3, 4, 2), [2, 3]), ((2, 3, 4), [0, 2]),
        ):  # fmt: skip
            for keepdim in (False, True):
                ops.begin(op, f"{list(shape)} over {axes}{' keepdim' if keepdim else ''}")
                ops.add(op, {"axes": axes, "keepdim": keepdim}, {"input": ops.rand(*shape)},
                        lambda input: f(input, dim=axes, keepdim=keepdim))  # fmt: skip


def make_ops(out):
    ops = Ops()
    conv_cases(ops)
    pool_cases(ops)
    dense_cases(ops)
    layout_cases(ops)
    pointwise_cases(ops)
    norm_cases(ops)
    loss_cases(ops)
    normalisation_cases(ops)
    reduce_cases(ops)
    write_json(out / "ops.json", ops.cases, 9)
    assert (out / "ops.json").stat().st_size < 500_000


# ---------------------------------------------------------------------------- optim

OPTIMIZERS = {
    "sgd plain": sgd(0.1),
    "sgd weight decay": sgd(0.1, weight_decay=0.05),
    "sgd momentum": sgd(0.1, 0.9),
    "sgd momentum 0.5": sgd(0.05, 0.5),
    "sgd momentum weight decay": sgd(0.1, 0.9, weight_decay=0.05),
    "sgd nesterov": sgd(0.1, 0.9, nesterov=True),
    "sgd nesterov weight decay": sgd(0.05, 0.8, nesterov=True, weight_decay=0.05),
    "adam": adam(0.01),
    "adam weight decay": adam(0.01, weight_decay=0.1),
    "adam betas": adam(0.02, betas=(0.5, 0.9)),
    "adam no momentum": adam(0.01, betas=(0.0, 0.99)),
    "adam eps": adam(0.05, eps=0.1),
    "adamw": adam(0.01, weight_decay=0.1, kind="adamw"),
    "adamw no weight decay": adam(0.01, weight_decay=0.0, kind="adamw"),
    "adamw betas eps": adam(0.02, (0.8, 0.95), 1e-3, 0.05, kind="adamw"),
    "rmsprop": rmsprop(0.01),
    "rmsprop momentum weight decay": rmsprop(0.01, 0.9, momentum=0.9, weight_decay=0.05),
    "rmsprop centered": rmsprop(0.01, 0.5, 1e-3, centered=True),
    "rmsprop centered momentum": rmsprop(0.005, 0.9, 1e-4, 0.5, True, 0.01),
    "sgd momentum clip norm": sgd(0.1, 0.9) | dict(clip_norm=0.75),
    "adam clip norm": adam(0.01) | dict(clip_norm=2.0),
    "adamw clip value": adam(0.01, weight_decay=0.1, kind="adamw") | dict(clip_value=0.3),
    "rmsprop clip value": rmsprop(0.01) | dict(clip_value=0.5),
    "sgd ema": sgd(0.1) | dict(ema=0.75),
    "adamw ema": adam(0.05, weight_decay=0.1, kind="adamw") | dict(ema=0.9),
    "rmsprop ema": rmsprop(0.02, centered=True) | dict(ema=0.5),
}


def make_optim(out):
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    rng = torch.Generator().manual_seed(7)

    def sixty_fourths(*shape):
        return torch.randint(-64, 65, shape, generator=rng).to(torch.float64) / 64

    param0, grads = sixty_fourths(7), sixty_fourths(12, 7)
    grads[:, 5] = 0.0  # a weight that never gets a gradient
    grads[:4, 6] = 0.0  # and one that gets none at first
    cases = []
    for name, spec in OPTIMIZERS.items():
        p = param0.clone().requires_grad_()
        hyper = dict(spec)
        norm, value = hyper.pop("clip_norm", None), hyper.pop("clip_value", None)
        ema = hyper.pop("ema", None)
        opt = optimizer([p], hyper)
        module = nn.ParameterList([p])
        averaged = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(ema or 0.0))
        params, averages = [], []
        for g in grads:
            p.grad = g.clone()
            if norm is not None:
                nn.utils.clip_grad_norm_([p], norm)
            if value is not None:
                nn.utils.clip_grad_value_([p], value)
            opt.step()
            averaged.update_parameters(module)
            params.append(p.detach().tolist())
            averages.append(next(averaged.parameters()).tolist())
        cases.append({
            "kind": spec["kind"],
            "name": name,
            "hyper": {k: v for k, v in spec.items() if k != "kind"},
            "param0": param0.tolist(),
            "grads": grads.tolist(),
            "params": params,
            **({} if ema is None else {"averages": averages}),
        })  # fmt: skip
    write_json(out / "optim.json", cases, 12)


# ------------------------------------------------------------------------ schedules


def make_schedules(out):
    from torch.optim import lr_scheduler as s

    base, steps = 0.1, 30

    def half_cosine(t, length, low):
        return low + (base - low) * (1 + math.cos(math.pi * t / length)) / 2

    def warmup_cosine(opt):
        ramp = s.LinearLR(opt, start_factor=0.1, total_iters=5)
        return s.SequentialLR(opt, [ramp, s.CosineAnnealingLR(opt, 25)], milestones=[5])

    # name, its settings, torch's scheduler, and the same rate in closed form as a check
    table = [
        ("cosine", dict(t_max=30, eta_min=0.0),
         lambda o: s.CosineAnnealingLR(o, 30), lambda t: half_cosine(t, 30, 0.0)),
        ("cosine", dict(t_max=30, eta_min=0.001),
         lambda o: s.CosineAnnealingLR(o, 30, 0.001), lambda t: half_cosine(t, 30, 0.001)),
        ("step", dict(step_size=7, gamma=0.1),
         lambda o: s.StepLR(o, 7, 0.1), lambda t: base * 0.1 ** (t // 7)),
        ("exponential", dict(gamma=0.9),
         lambda o: s.ExponentialLR(o, 0.9), lambda t: base * 0.9**t),
        ("multistep", dict(milestones=[5, 20], gamma=0.3),
         lambda o: s.MultiStepLR(o, [5, 20], 0.3),
         lambda t: base * 0.3 ** ((t >= 5) + (t >= 20))),
        ("warmup-cosine", dict(start_factor=0.1, warmup_steps=5, t_max=25, eta_min=0.0),
         warmup_cosine,
         lambda t: base * (0.1 + 0.9 * t / 5) if t < 5 else half_cosine(t - 5, 25, 0.0)),
    ]  # fmt: skip
    cases = []
    for kind, settings, make, closed in table:
        p = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        p.grad = torch.zeros_like(p)
        opt = torch.optim.SGD([p], lr=base)
        schedule = make(opt)
        rates = []
        for _ in range(steps):
            rates.append(float(opt.param_groups[0]["lr"]))  # the rate this step uses
            opt.step()
            schedule.step()
        for t, rate in enumerate(rates):
            assert math.isclose(rate, closed(t), rel_tol=1e-9), (kind, t, rate, closed(t))
        cases.append({"kind": kind, "base_lr": base, "hyper": settings, "lr": rates})
    write_json(out / "schedules.json", cases, 12)


# ------------------------------------------------------------------------------ pth


class TwoLayers(nn.Module):
    """Two layers and a normalisation, whose counter of batches is an integer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, bias=False)
        self.bn = nn.BatchNorm2d(3)
        self.fc = nn.Linear(3, 2)


def sixteenths(*shape):
    """0, 1/16, 2/16, ...: exact in every type, and no two alike."""
    return torch.arange(math.prod(shape), dtype=torch.float32).reshape(shape) / 16


def make_pth(out):
    out = out / "pth"
    out.mkdir(parents=True, exist_ok=True)
    model = TwoLayers()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(sixteenths(*tensor.shape))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model.fc(sixteenths(4, 3)).sum().backward()
    optimizer.step()
    weights = {k: sixteenths(*v.shape).to(v.dtype) for k, v in model.state_dict().items()}
    model.load_state_dict(weights)
    checkpoint = {
        "epoch": 3,
        "arch": "two",
        "args": argparse.Namespace(lr=0.1, tags=["a", None, True]),
        "optimizer": optimizer.state_dict(),
        "state_dict": {f"module.{k}": v for k, v in model.state_dict().items()},
    }
    base = sixteenths(24)
    views = OrderedDict(
        plain=sixteenths(2, 3),
        transposed=sixteenths(2, 3).t(),
        permuted=base.reshape(2, 3, 4).permute(2, 0, 1),
        channels_last=sixteenths(2, 3, 2, 2).to(memory_format=torch.channels_last),
        sliced=base[5:17:3],
        tail=base[20:],
        expanded=base[7:8].expand(2, 3),
        scalar=base[9],
        empty=torch.zeros(2, 0, 3),
        half=sixteenths(2, 2).half(),
        half_column=sixteenths(3, 2).half()[:, 1],
        bfloat16=sixteenths(3).bfloat16(),
        double=sixteenths(3).double(),
        parameter=nn.Parameter(sixteenths(2)),
        int64=torch.arange(3),
        uint16=torch.arange(3).to(torch.uint16),
        flags=torch.tensor([True, False]),
        complex=torch.zeros(2, dtype=torch.complex64),
        sparse=torch.eye(3).to_sparse(),
    )
    views["tied"] = views["plain"]
    for name, content in (("views", views), ("checkpoint", checkpoint)):
        torch.save(content, out / f"{name}.pth")
        torch.save(content, out / f"{name}.legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(model, out / "module.pth")
    torch.save(checkpoint["state_dict"], out / "protocol4.pth", pickle_protocol=4)
    torch.save(model.fc.state_dict(), out / "small.pth")
    torch.save(model.fc.state_dict(), out / "small.legacy.pth", _use_new_zipfile_serialization=False)
    numbers = {k: {"shape": list(v.shape), "data": v.float().flatten().tolist()}
               for k, v in views.items() if v.is_floating_point() and not v.is_sparse}  # fmt: skip
    write_json(out / "views.json", numbers, 9)
    assert sum(file.stat().st_size for file in out.iterdir()) < 50_000


# --------------------------------------------------------------------------- resize


def make_resize(out):
    """Pictures that torchvision brings to a size; the Rust test makes the same inputs."""
    import numpy
    from PIL import Image
    from torchvision import transforms as t

    # height, width, side, and whether the picture is turned grey first
    table = [(5, 7, 3, False), (7, 5, 8, False), (30, 40, 12, False), (17, 31, 32, True),
             (1, 1, 4, False), (32, 32, 32, False), (32, 35, 32, False), (37, 32, 32, False),
             (64, 49, 20, True), (3, 100, 2, False), (201, 150, 9, True)]  # fmt: skip
    cases = []
    for height, width, side, grey in table:
        y, x, c = numpy.mgrid[:height, :width, :3]
        pixels = (37 * x + 91 * y + 53 * c + x * y % 251 * 17 + c * x * y) % 256
        picture = Image.fromarray(pixels.astype(numpy.uint8), "RGB")
        picture = picture.convert("L") if grey else picture
        picture = t.CenterCrop(side)(t.Resize(side)(picture))
        result = numpy.asarray(picture).reshape(side, side, -1).transpose(2, 0, 1)
        cases.append({"from": [3, height, width], "to": list(result.shape),
                      "pixels": result.flatten().tolist()})  # fmt: skip
    write_json(out / "resize.json", cases, 9)


# ----------------------------------------------------------------------------- main

PARTS = {
    "curves": make_curves,
    "ops": make_ops,
    "optim": make_optim,
    "pth": make_pth,
    "resize": make_resize,
    "schedules": make_schedules,
}


def main():
    about = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    about.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART",
                       help=f"write only these: {', '.join(PARTS)}")  # fmt: skip
    about.add_argument("--out", type=Path, default=HERE, help="folder for the files")
    about.add_argument("--digits", type=Path, metavar="CSV_GZ",
                       help="first rebuild src/data/digits.bin from this file")  # fmt: skip
    args = about.parse_args()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    print(f"torch {torch.__version__}")
    if args.digits:
        pack_digits(args.digits)
    args.out.mkdir(parents=True, exist_ok=True)
    for part in args.only:
        PARTS[part](args.out)


if __name__ == "__main__":
    main()
