"""Many seeds at once: conv_mult against the plain PyTorch script that trains one seed at a time, in one run.

    /usr/bin/python3 bench/many_seeds.py [--out build/bench]

Measured in turn, several times, one thread; medians and their ratios are printed and written to many_seeds.csv,
the figure many_seeds.png is drawn beside it.
  seeds  seed-steps per second of `exp` at the defaults, over the number of seeds side by side
  size   time of a step of 1,024 seeds on distinct patches over the size of the scene; beside it the time to prepare
         that scene and a step of one seed on the image itself
"""
import argparse
import csv
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTORCH = ROOT / "bench" / "pytorch_baseline.py"


def conv_mult(binary, *arguments):
    """One run: its summary, and its peak memory in MiB."""
    with tempfile.TemporaryDirectory() as out:
        command = [binary, "--variant", "exp", "--figures", "none", "--quiet", "--threads", "1", "--heldout-scenes", "0",
                   "--out", out, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit(f"failed: {' '.join(command)}")
        return json.loads((Path(out) / "summary.json").read_text()), usage.ru_maxrss / 1024


def step_seconds(binary, steps, *arguments):
    """Seconds per step of all seeds together, from the summary: neither start-up nor preparation."""
    return conv_mult(binary, "--steps", steps, *arguments)[0]["variants"][0]["seconds"] / (steps + 1)


def pytorch_step_seconds(steps, size=100):
    command = [sys.executable, PYTORCH, "--variant", "exp", "--threads", "1", "--steps", str(steps), "--size", str(size)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(re.search(r"([\d.]+) µs per step", text).group(1)) / 1e6


def in_turn(repeat, measurements):
    """Medians of measurements {key: function}, taken in turn, so that a slow minute is shared by all."""
    values = {key: [] for key in measurements}
    for _ in range(repeat):
        for key, measure in measurements.items():
            values[key].append(measure())
    return {key: statistics.median(each) for key, each in values.items()}


def measure_seeds(binary, repeat, rows):
    counts = [1, 4, 16, 64, 256, 1024, 4096]
    tasks = {"pytorch": lambda: pytorch_step_seconds(2000)}
    tasks.update({n: lambda n=n: step_seconds(binary, 3000, "--seeds", n) for n in counts})
    seconds = in_turn(repeat, tasks)
    reference = 1 / seconds["pytorch"]
    print(f"PyTorch script, one seed at a time: {reference:,.0f} seed-steps per second")
    rows.append(["seeds", "pytorch", 1, reference, 1])
    for n in counts:
        rate = n / seconds[n]
        rows.append(["seeds", "conv_mult", n, rate, rate / reference])
        print(f"conv_mult, {n:5,} seeds at once: {rate:12,.0f} seed-steps per second, {rate / reference:7,.1f} times")


def measure_sizes(binary, repeat, sizes, rows):
    tasks = {("patches", size): lambda size=size: step_seconds(binary, 3000, "--seeds", 1024, "--size", size)
             for size in sizes}
    patches = in_turn(repeat, tasks)
    print("size    1,024 seeds on patches, a step    one seed on the image, a step    preparation    peak memory")
    for size in sizes:
        pixels = size * size
        image = step_seconds(binary, max(2, 2_000_000 // pixels), "--data", "image", "--size", size)
        summary, memory = conv_mult(binary, "--steps", 0, "--size", size)
        preparation = summary["data"]["seconds"]
        ratio = patches["patches", size] / patches["patches", sizes[0]]
        for what, value, relative in [("patches", patches["patches", size], ratio), ("image", image, ""),
                                      ("preparation", preparation, preparation / image), ("memory", memory, "")]:
            rows.append(["size", what, size, value, relative])
        print(f"{size:4}²   {patches['patches', size] * 1e6:8.0f} µs, {ratio:5.2f} of {sizes[0]}²"
              f"   {image * 1e3:20.2f} ms   {preparation * 1e3:9.2f} ms = {preparation / image:.5f} of it"
              f"   {memory:6.0f} MiB")


FIGURE = """
set terminal pngcairo noenhanced size 1600,760 font 'DejaVu Sans,10' fontscale 2 linewidth 2 background rgb 'white'
set output 'many_seeds.png'
set encoding utf8
set datafile separator ','
set border 3 lc rgb '#404040'
set tics nomirror out scale 0.5
set grid lc rgb '#e0e0e0' lt 1 lw 0.5
set logscale xy
set key top left Left reverse samplen 2 font ',9'
of(kind, what, value) = strcol(1) eq kind && strcol(2) eq what ? value : NaN
set multiplot layout 1,2
set title 'Seeds side by side'
set xlabel 'seeds'
set ylabel 'seed-steps per second' offset 1,0
set xrange [0.8:5500]
set yrange [1e3:3e7]
set xtics ('1' 1, '4' 4, '16' 16, '64' 64, '256' 256, '1024' 1024, '4096' 4096)
set ytics ('1,000' 1e3, '10⁴' 1e4, '10⁵' 1e5, '10⁶' 1e6, '10⁷' 1e7)
plot 'many_seeds.csv' using 3:(of('seeds', 'conv_mult', column(4))) with linespoints pt 5 ps 1.2 lw 2 \
       lc rgb '#D55E00' title 'conv_mult', \
     {pytorch} with lines dt (8,5) lw 2 lc rgb '#0072B2' title 'PyTorch, one at a time'
set title 'Size of the scene'
set xlabel 'pixels a side'
set ylabel 'seconds' offset 1,0
set xrange [80:5200]
set yrange [1e-5:300]
set xtics ({sizes})
set ytics ('10 µs' 1e-5, '100 µs' 1e-4, '1 ms' 1e-3, '10 ms' 1e-2, '100 ms' 0.1, '1 s' 1, '10 s' 10)
set ylabel ''
plot 'many_seeds.csv' using 3:(of('size', 'image', column(4))) with linespoints pt 7 ps 1.2 lw 2 \
       lc rgb '#0072B2' title 'step on the image, 1 seed', \
     '' using 3:(of('size', 'preparation', column(4))) with linespoints pt 9 ps 1.2 lw 2 lc rgb '#009E73' \
       title 'preparing the scene', \
     '' using 3:(of('size', 'patches', column(4))) with linespoints pt 5 ps 1.2 lw 2 lc rgb '#D55E00' \
       title 'step on patches, 1,024 seeds'
"""


def draw(out, rows, sizes):
    pytorch = next(row[3] for row in rows if row[1] == "pytorch")
    tics = ", ".join(f"'{size}' {size}" for size in sizes)
    script = FIGURE.replace("{pytorch}", f"{pytorch:.6g}").replace("{sizes}", tics)
    (out / "many_seeds.gp").write_text(script)
    subprocess.run(["gnuplot", "many_seeds.gp"], cwd=out, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=ROOT / "build/release/conv_mult")
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    sizes = [100, 256, 512, 1024, 2048, 4096]
    rows = []
    measure_seeds(options.binary, options.repeat, rows)
    measure_sizes(options.binary, options.repeat, sizes, rows)
    rows.sort(key=lambda row: (row[0], row[1], row[2]))  # gnuplot joins neighbouring lines
    with open(options.out / "many_seeds.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["measurement", "what", "at", "value", "ratio"])
        writer.writerows(rows)
    draw(options.out, rows, sizes)


main()
