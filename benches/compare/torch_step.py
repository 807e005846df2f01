#!/usr/bin/env python3
"""Time one network in PyTorch; prints a line of JSON. compare.py runs this.

    python3 benches/compare/torch_step.py MODEL BATCH [--forward] [--amp] [--seconds S] [--device cpu|cuda] [--threads N]

The networks are those that tests/goldens compares with. A training step is forward, backward and
SGD with momentum 0.9, as `wgrad bench` measures it; float32, TF32 off. With --amp under autocast:
float16 with a GradScaler on CUDA, bfloat16 on a CPU. Steps are queued as in a
training loop that reads its loss now and then: the device is waited for once per group of steps.
"""

import argparse
import json
import os
import statistics
import sys
import time
import warnings
from pathlib import Path

BEGIN = time.perf_counter()
parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("batch", type=int)
parser.add_argument("--forward", action="store_true")
parser.add_argument("--amp", action="store_true")
parser.add_argument("--seconds", type=float, default=4.0)
parser.add_argument("--device", default="cpu")
parser.add_argument("--threads", type=int, default=os.cpu_count())
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)
warnings.filterwarnings("ignore")

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "goldens"))
from models import LENETS, NETWORKS

SIZES = {"inception_v3": 299, "inception_v3-aux": 299, "alexnet-2012": 227}


def network(name):
    """The network with its usual number of classes, and the extents of its pictures."""
    builder, shape = NETWORKS[name][:2]
    if name in LENETS or name.endswith("-cifar"):
        return builder(10), shape, 10
    side = SIZES.get(name, 224)
    return builder(1000), (3, side, side), 1000


def main():
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    net, shape, classes = network(options.model)
    net = net.to(options.device).train(not options.forward)
    x = torch.randn(options.batch, *shape, device=options.device)
    y = torch.randint(0, classes, (options.batch,), device=options.device)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9)
    auxiliary = NETWORKS[options.model][4]
    cuda = options.device == "cuda"
    autocast = torch.autocast(options.device, torch.float16 if cuda else torch.bfloat16, enabled=options.amp)
    scaler = torch.amp.GradScaler(options.device, enabled=options.amp and cuda)

    def step():
        if options.forward:
            with torch.no_grad(), autocast:
                return F.cross_entropy(net(x), y)
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            outputs = net(x)
            outputs = [outputs] if torch.is_tensor(outputs) else list(outputs)
            loss = F.cross_entropy(outputs[0], y)
            for weight, output in zip(auxiliary, outputs[1:]):
                loss = loss + weight * F.cross_entropy(output, y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    step().item()
    first = time.perf_counter() - BEGIN
    warm = time.perf_counter()
    count = 0
    while time.perf_counter() - warm < options.seconds / 4:
        step().item()
        count += 1
    per_group = max(1, min(16, count // 8))
    times, begin = [], time.perf_counter()
    while not times or time.perf_counter() - begin < options.seconds:
        start = time.perf_counter()
        for _ in range(per_group):
            loss = step()
        loss.item()
        times.append((time.perf_counter() - start) / per_group)
    print(json.dumps({
        "peer": f"PyTorch {torch.__version__.split('+')[0]}, {options.device}, {options.threads} threads",
        "milliseconds_per_step": 1e3 * statistics.median(times),
        "seconds_to_first_step": first,
        "steps": len(times) * per_group,
    }))  # fmt: skip


main()
