#!/usr/bin/env python3
"""wgrad beside PyTorch, in turn, in one session; prints a table in Markdown.

    pip install torch torchvision numpy safetensors
    cargo build --release
    python3 benches/compare/compare.py                              # the networks that people train at 32x32
    python3 benches/compare/compare.py lenet5:64 resnet50:8         # MODEL:BATCH
    python3 benches/compare/compare.py --forward --rounds 5 vgg16:2
    python3 benches/compare/compare.py --device cuda --adapter vulkan   # on a GPU that both can use

Each network is measured in turn by either side, --rounds times; figures are medians over the
rounds, and the ratio is the median of the rounds' own ratios (wgrad's time over PyTorch's: below 1
wgrad is ahead). The cold start runs wgrad with an empty driver cache.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
USUAL = ["lenet5:64", "lenet5:256", "alexnet-cifar:32", "vgg11-cifar:32", "resnet18-cifar:16"]

parser = argparse.ArgumentParser(description="wgrad beside PyTorch")
parser.add_argument("tasks", nargs="*", default=USUAL, metavar="MODEL:BATCH")
parser.add_argument("--forward", action="store_true", help="forward passes instead of training steps")
parser.add_argument("--amp", action="store_true", help="16-bit activations on both sides, where wgrad's adapter has them")
parser.add_argument("--rounds", type=int, default=3, help="alternations (default 3)")
parser.add_argument("--seconds", type=float, default=3.0, help="of measuring per round and side (default 3)")
parser.add_argument("--device", default="cpu", help="PyTorch's device (default cpu)")
parser.add_argument("--adapter", help="wgrad's adapter (default: the best)")
parser.add_argument("--wgrad", default=str(ROOT / "target" / "release" / "wgrad"), help="the program")
parser.add_argument("--json", action="store_true", help="print JSON instead")
options = parser.parse_args()


def output(command, **environment):
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def wgrad(model, batch, *more, **environment):
    command = [options.wgrad, "bench", model, "--batch", batch, "--json", *more]
    command += ["--adapter", options.adapter] if options.adapter else []
    command += ["--forward"] if options.forward else []
    command += ["--amp"] if options.amp else []
    found = output(command, **environment)
    return {**found["results"][0], "adapter": found["adapter"]}


def torch(model, batch):
    command = [sys.executable, str(HERE / "torch_step.py"), model, batch, "--device", options.device]
    command += ["--seconds", str(options.seconds)] + (["--forward"] if options.forward else [])
    command += ["--amp"] if options.amp else []
    return output(command)


def compare(task):
    model, _, batch = task.partition(":")
    batch = batch or "64"
    rounds = []
    for _ in range(options.rounds):
        rounds.append((wgrad(model, batch), torch(model, batch)))
        print(f"{task}: round {len(rounds)} of {options.rounds}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as empty:
        cold = wgrad(model, batch, "--steps", "1", MESA_SHADER_CACHE_DIR=empty)

    def middle(side, key):
        return statistics.median(pair[side][key] for pair in rounds)

    ratios = [ours["milliseconds_per_step"] / theirs["milliseconds_per_step"] for ours, theirs in rounds]
    return {
        "model": model, "batch": int(batch),
        "adapter": rounds[0][0]["adapter"], "peer": rounds[0][1]["peer"],
        "wgrad_ms": middle(0, "milliseconds_per_step"), "torch_ms": middle(1, "milliseconds_per_step"),
        "ratio": statistics.median(ratios), "ratios": ratios,
        "host_us": 1e6 * middle(0, "host_seconds_per_step"),
        "cold_s": cold["seconds_to_first_step"], "warm_s": middle(0, "seconds_to_first_step"),
        "torch_first_s": middle(1, "seconds_to_first_step"),
        "memory": rounds[0][0]["memory_bytes"],
    }  # fmt: skip


def line(row):
    ratios = ", ".join(f"{ratio:.2f}" for ratio in row["ratios"])
    return (
        f"| {row['model']} | {row['batch']} | {row['wgrad_ms']:.1f} ms | {row['torch_ms']:.1f} ms "
        f"| {row['ratio']:.2f} ({ratios}) | {row['host_us']:.0f} µs | {row['cold_s']:.2f} s / {row['warm_s']:.2f} s "
        f"| {row['torch_first_s']:.2f} s | {row['memory'] / 1e6:,.1f} MB |"
    )


TITLES = ["network", "batch", "wgrad", "PyTorch", "ratio (rounds)", "host time", "first step, cold / warm", "PyTorch's", "memory"]
found = []
for task in options.tasks:
    found.append(compare(task))
    if options.json:
        continue
    if len(found) == 1:
        what = ("Forward passes" if options.forward else "Training steps") + (" with --amp" if options.amp else "")
        print(f"{what}: wgrad on {found[0]['adapter']}, {found[0]['peer']}; {options.rounds} rounds in turn, medians\n")
        print(f"| {' | '.join(TITLES)} |\n|{'---|' * len(TITLES)}")
    print(line(found[-1]), flush=True)
if options.json:
    print(json.dumps(found, indent=2))
