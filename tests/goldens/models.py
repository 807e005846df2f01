#!/usr/bin/env python3
"""Write models.json: what PyTorch makes of every network of the zoo in ten steps of training.

    pip install torch torchvision numpy
    python3 tests/goldens/models.py                      # all networks (a quarter of an hour)
    python3 tests/goldens/models.py --only resnet18 vgg11   # some, the others stay as they are

Nothing large is stored. Weights, pictures and labels are drawn by Philox4x32-10 from names and
places, here and in tests/models.rs alike; gradients are stored as digests. README.md describes
the file.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.models as tv
from make import MODELS as LENETS
from make import rounded, write_json
from torch import nn

HERE = Path(__file__).resolve().parent
STEPS, CLASSES, MOMENTUM = 10, 10, 0.9
MEAN, STD = 0.5, 0.25
# The float32 run's disturbance of the first weights, about their own rounding.
SHAKE = 2.0**-23

# ------------------------------------------------------------------------- random numbers

# Purposes: the last word of a counter.
WEIGHTS, CELLS, GRAIN, LABELS, SIGNS = 100, 101, 102, 103, 104


def fnv1a(text, bits):
    """The FNV-1a hash of a text."""
    prime, value = {32: (0x01000193, 0x811C9DC5), 64: (0x100000001B3, 0xCBF29CE484222325)}[bits]
    for byte in text.encode():
        value = (value ^ byte) * prime % 2**bits
    return value


def words(seed, name, purpose, count):
    """`count` words under the key (seed, hash of the name), counters (0, 0, 0, purpose) and up."""
    blocks = -(-count // 4)
    out = np.empty((blocks, 4), np.uint32)
    chunk = 1 << 16
    for start in range(0, blocks, chunk):
        n = min(chunk, blocks - start)
        c = [np.arange(start, start + n, dtype=np.uint64)]
        c += [np.full(n, word, np.uint64) for word in (0, 0, purpose)]
        k0, k1 = seed, fnv1a(name, 32)
        low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
        for _ in range(10):
            p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
            c = [(p1 >> half) ^ c[1] ^ np.uint64(k0), p1 & low, (p0 >> half) ^ c[3] ^ np.uint64(k1), p0 & low]
            k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
        for i in range(4):
            out[start : start + n, i] = c[i]
    return out.reshape(-1)[:count]


def centred(seed, name, count):
    """Multiples of 2^-23 in [-1, 1), float64."""
    return (words(seed, name, WEIGHTS, count) >> 8).astype(np.float64) / 2**23 - 1


# Biases of batch normalisations are drawn around this. A ReLU that follows is then closed for
# one value in forty, and ten times fewer values than around 0 lie so close to its kink that
# rounding decides its side: with millions of values per step, a few of those would be as large
# in the gradients as a wrong kernel.
OPEN = 2.0


def first_values(seed, name, shape, names):
    """The first values of a tensor of a network that has tensors of these names, float32."""
    u = centred(seed, name, math.prod(shape))
    normal = name.removesuffix("bias") + "running_mean" in names
    if len(shape) > 1:
        # Keeps the mean square of activations through ReLU.
        u = math.sqrt(6 / math.prod(shape[1:])) * u
    elif name.endswith("bias"):
        u = (OPEN if normal else 0.0) + 0.1 * u
    elif name.endswith("running_mean"):
        u = 0.2 * u
    else:
        # Factors and running variances.
        u = 1 + 0.2 * u
    return torch.from_numpy(u.astype(np.float32)).reshape(shape)


def pictures(seed, count, shape):
    """Bytes [count, C, H, W]: a coarse pattern of 8x8 cells, a quarter of it grain."""
    c, h, w = shape
    gh, gw = -(-h // 8), -(-w // 8)

    def bytes_of(purpose, n):
        return words(seed, "pictures", purpose, -(-n // 4)).view(np.uint8)[:n].astype(np.int64)

    cells = bytes_of(CELLS, count * c * gh * gw).reshape(count, c, gh, gw)
    cells = cells.repeat(8, 2).repeat(8, 3)[:, :, :h, :w]
    grain = bytes_of(GRAIN, count * c * h * w).reshape(count, c, h, w)
    return torch.from_numpy((3 * cells + grain) >> 2)


def signs(seed, name, which, count):
    """+1 and -1 as the bits of words, the lowest first."""
    bits = np.unpackbits(words(seed, name, SIGNS + which, -(-count // 32)).view(np.uint8), bitorder="little")
    return torch.from_numpy(1 - 2 * bits[:count].view(np.int8))


# ------------------------------------------------------------------------------- networks


def alexnet_cifar(classes):
    net = tv.AlexNet(classes, dropout=0.0)
    sizes = [(0, 3, 64, 2), (3, 64, 192, 1), (6, 192, 384, 1), (8, 384, 256, 1), (10, 256, 256, 1)]
    for index, inputs, outputs, stride in sizes:
        net.features[index] = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
    for index in (2, 5, 12):
        net.features[index] = nn.MaxPool2d(2)
    net.avgpool = nn.Identity()
    net.classifier[1] = nn.Linear(256 * 2 * 2, 4096)
    return net


class AlexNet2012(nn.Module):
    """PyTorch's alpha is that of a mean of squares; the paper's, of their sum, is 1e-4."""

    def __init__(self, classes):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0), nn.MaxPool2d(3, 2),
            nn.Conv2d(96, 256, 5, padding=2), nn.ReLU(), nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0), nn.MaxPool2d(3, 2),
            nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(0.0),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.0),
            nn.Linear(4096, classes),
        )  # fmt: skip

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def vgg_cifar(cfg, norm, classes):
    net = tv.VGG(tv.vgg.make_layers(tv.vgg.cfgs[cfg], norm), classes, init_weights=False)
    net.avgpool, net.classifier = nn.Identity(), nn.Linear(512, classes)
    return net


def resnet18_cifar(classes):
    net = tv.resnet18(num_classes=classes)
    net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return net


def vgg(cfg, norm):
    return lambda n: tv.VGG(tv.vgg.make_layers(tv.vgg.cfgs[cfg], norm), n, init_weights=False, dropout=0.0)


def googlenet(aux):
    return lambda n: tv.GoogLeNet(n, aux_logits=aux, init_weights=False, dropout=0.0, dropout_aux=0.0)


def inception(aux):
    return lambda n: tv.Inception3(n, aux_logits=aux, init_weights=False, dropout=0.0)


def lenet(name):
    return lambda n: nn.Sequential(LENETS[name][0]())


# name: (builder, picture, pictures per step, learning rate, weights of auxiliary losses, seed).
#
# Pictures are the smallest that leave more than a value or two per channel to the last batch
# normalisations, or that make adaptive pooling overlap its bins.
NETWORKS = {
    "lenet5": (lenet("lenet5"), (1, 28, 28), 4, 0.0050, (), 1),
    "lenet5-1998": (lenet("lenet5-1998"), (1, 28, 28), 4, 0.0050, (), 1),
    "tutorial": (lenet("tutorial"), (3, 32, 32), 4, 0.0050, (), 1),
    "alexnet-cifar": (alexnet_cifar, (3, 32, 32), 4, 0.001, (), 1),
    "vgg11-cifar": (lambda n: vgg_cifar("A", False, n), (3, 32, 32), 4, 0.0002, (), 1),
    "vgg16_bn-cifar": (lambda n: vgg_cifar("D", True, n), (3, 32, 32), 8, 0.0005, (), 1),
    "resnet18-cifar": (resnet18_cifar, (3, 32, 32), 4, 0.0005, (), 1),
    "alexnet": (lambda n: tv.AlexNet(n, dropout=0.0), (3, 159, 159), 2, 5e-6, (), 1),
    "alexnet-2012": (AlexNet2012, (3, 227, 227), 2, 2e-5, (), 1),
    "vgg11": (vgg("A", False), (3, 64, 64), 2, 2e-5, (), 1),
    "vgg13": (vgg("B", False), (3, 32, 32), 2, 2e-5, (), 1),
    "vgg16": (vgg("D", False), (3, 32, 32), 2, 2e-5, (), 1),
    "vgg19": (vgg("E", False), (3, 32, 32), 2, 2e-5, (), 1),
    "vgg11_bn": (vgg("A", True), (3, 32, 32), 4, 2e-5, (), 1),
    "vgg13_bn": (vgg("B", True), (3, 32, 32), 4, 2e-5, (), 1),
    "vgg16_bn": (vgg("D", True), (3, 32, 32), 4, 2e-5, (), 3),
    "vgg19_bn": (vgg("E", True), (3, 32, 32), 4, 2e-5, (), 1),
    "googlenet": (googlenet(False), (3, 64, 64), 4, 0.0001, (), 1),
    "googlenet-aux": (googlenet(True), (3, 80, 80), 4, 0.0001, (0.3, 0.3), 1),
    "inception_v3": (inception(False), (3, 107, 107), 4, 0.0001, (), 1),
    "inception_v3-aux": (inception(True), (3, 299, 299), 2, 0.0001, (0.4,), 1),
    "resnet18": (lambda n: tv.resnet18(num_classes=n), (3, 64, 64), 4, 0.0005, (), 1),
    "resnet34": (lambda n: tv.resnet34(num_classes=n), (3, 64, 64), 4, 0.0002, (), 1),
    "resnet50": (lambda n: tv.resnet50(num_classes=n), (3, 64, 64), 4, 0.0001, (), 1),
    "resnet101": (lambda n: tv.resnet101(num_classes=n), (3, 64, 64), 4, 0.0001, (), 1),
}


def state_of(net):
    return [(name, tensor) for name, tensor in net.state_dict().items() if not name.endswith("num_batches_tracked")]


def layout(name):
    """How many tensors the network has with its usual number of classes, and a hash of names and shapes."""
    builder = NETWORKS[name][0]
    with torch.device("meta"):
        net = builder(10 if name in LENETS or name.endswith("-cifar") else 1000)
    lines = sorted(f"{name} {list(tensor.shape)}\n" for name, tensor in state_of(net))
    return {"tensors": len(lines), "hash": f"{fnv1a(''.join(lines), 64):016x}"}


# ---------------------------------------------------------------------------------- runs


def digests(seed, net):
    """Of each gradient: norm, two products with signs, the place of its largest element, that element, the last one."""
    out = {}
    for name, p in net.named_parameters():
        g = p.grad.detach().to(torch.float64).reshape(-1)
        dots = [(g * signs(seed, name, which, len(g))).sum().item() for which in (0, 1)]
        largest = g.abs().argmax().item()
        out[name] = [g.norm().item(), *dots, largest, g[largest].item(), g[-1].item()]
    return out


def first_state(name):
    """All first values by name."""
    builder, *_, seed = NETWORKS[name]
    with torch.device("meta"):
        shapes = {path: tuple(tensor.shape) for path, tensor in state_of(builder(CLASSES))}
    return {path: first_values(seed, path, shape, shapes) for path, shape in shapes.items()}


def run(name, dtype, state, at=None):
    """Ten steps of SGD on two batches in turn. Numbers of the first and of what comes after the last.

    `at` are the digests of the exact run: the weights are then shaken, and gradients are looked at in the places of its
    largest elements.
    """
    builder, shape, batch, lr, parts, seed = NETWORKS[name]
    with torch.device("meta"):
        net = builder(CLASSES)
    net.to_empty(device="cpu")
    with torch.no_grad():
        for path, tensor in state_of(net):
            tensor.copy_(state[path])
        if at:
            rng = torch.Generator().manual_seed(seed)
            for p in net.parameters():
                p.mul_(1 + SHAKE * torch.empty_like(p).uniform_(-1, 1, generator=rng))
    net = net.to(dtype).train()
    pixels = pictures(seed, 2 * batch, shape).to(dtype)
    x = (pixels / 255 - MEAN) / STD
    y = torch.from_numpy((words(seed, "labels", LABELS, 2 * batch) % CLASSES).astype(np.int64))
    optimizer = torch.optim.SGD(net.parameters(), lr, momentum=MOMENTUM, foreach=False)
    normal = {path + ".bias" for path, part in net.named_modules() if isinstance(part, nn.BatchNorm2d)}
    out = {"losses": [], "normal": normal}
    for step in range(STEPS):
        used = slice(step % 2 * batch, (step % 2 + 1) * batch)
        optimizer.zero_grad()
        logits = net(x[used])
        logits, heads = (logits[0], logits[1:]) if parts else (logits, ())
        loss = F.cross_entropy(logits, y[used])
        for part, head in zip(parts, heads):
            loss = loss + part * F.cross_entropy(head, y[used])
        loss.backward()
        out["losses"].append(loss.item())
        if step == 0:
            out["logits"] = logits.detach().reshape(-1).tolist()
            out["grads"] = digests(seed, net)
            if at:
                for path, p in net.named_parameters():
                    out["grads"][path][4] = p.grad.reshape(-1)[at[path][3]].item()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        out["eval"] = net(x[:batch]).reshape(-1).tolist()
    return out


def off(found, exact):
    """The largest difference, relative to the largest number."""
    return max(abs(p - q) for p, q in zip(found, exact)) / max(map(abs, exact))


# What a gradient is compared to, at least, as a part of the network's largest.
SMALL = 1e-4


def scales(grads, normal):
    """What differences of each gradient's norm and products, and of its elements, are relative to: its norm and its
    largest element.

    The gradient by the bias of a normalisation may be zero but for rounding, where the next normalisation takes that bias
    away again. It is a sum of the terms of which the gradient by the weight is a weighted sum, and is compared to that.
    """
    least = [SMALL * max(abs(g[i]) for g in grads.values()) for i in (0, 4)]
    for path, g in grads.items():
        other = grads[path.removesuffix("bias") + "weight"] if path in normal else g
        yield path, *(max(abs(g[i]), abs(other[i]), low) for i, low in zip((0, 4), least))


def distances(found, exact):
    """How far a run is from the exact one, in the terms in which the test compares them."""
    worst = 0.0
    for path, norm, element in scales(exact["grads"], exact["normal"]):
        pairs = list(zip(found["grads"][path], exact["grads"][path]))
        worst = max(worst, *(abs(p - q) / norm for p, q in pairs[:3]), *(abs(p - q) / element for p, q in pairs[4:]))
    curve = max(abs(p - q) / q for p, q in zip(found["losses"], exact["losses"]))
    return {
        "logits": off(found["logits"], exact["logits"]),
        "grads": worst,
        "losses": curve,
        "eval": off(found["eval"], exact["eval"]),
    }


def golden(name):
    _, shape, batch, lr, parts, seed = NETWORKS[name]
    state = first_state(name)
    exact = run(name, torch.float64, state)
    spread = distances(run(name, torch.float32, state, exact["grads"]), exact)
    losses = exact["losses"]
    print(f"{name}: loss {losses[0]:.4f}, {losses[1]:.4f} -> {losses[-2]:.4f}, {losses[-1]:.4f}; spread",
          ", ".join(f"{key} {value:.1e}" for key, value in spread.items()), flush=True)  # fmt: skip
    return {
        **layout(name),
        "shape": list(shape), "batch": batch, "lr": lr, "momentum": MOMENTUM, "seed": seed,
        "spread": {key: float(f"{value:.1e}") for key, value in spread.items()},
        **{key: rounded(exact[key], 8) for key in ("losses", "logits", "eval")},
        "grads": rounded(exact["grads"], 7),
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    torch.set_num_threads(2)
    path = args.out / "models.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    for name in args.only:
        known[name] = golden(name)
        write_json(path, {name: known[name] for name in NETWORKS if name in known}, 8)


if __name__ == "__main__":
    main()
