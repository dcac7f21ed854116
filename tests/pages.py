#!/usr/bin/env python3
"""pages.py CONV_MULT FOLDER: makes runs of every kind in the folder and opens their pages in headless Chromium: no message on
the console, no request to anywhere, nothing wider than the window, images have sizes, a click on a heading sorts, colours have the
contrast of WCAG AA. Leaves screenshots there, narrow, wide and dark, and a PDF, to be looked at."""
import json
import os
import re
import subprocess
import sys
import time

conv_mult, folder = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
configs = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "configs")
chromium = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000", "--enable-logging=stderr", "--allow-file-access-from-files",
            f"--user-data-dir={folder}/profile"]
os.makedirs(folder, exist_ok=True)


def run(name, *arguments):
    done = subprocess.run([conv_mult, *arguments, "--quiet", "--out", name], cwd=folder, stdout=subprocess.DEVNULL)
    assert done.returncode == 0, (name, done.returncode)
    return name


def interrupted(name):
    """Once the first block of seeds is finished."""
    process = subprocess.Popen([conv_mult, "--seeds", "100000", "--steps", "1000", "--threads", "1", "--quiet", "--out", name], cwd=folder,
                               stdout=subprocess.DEVNULL)
    while not os.path.exists(f"{folder}/{name}/runs.csv"):
        assert process.poll() is None
        time.sleep(0.02)
    process.terminate()  # SIGINT may be ignored, as what starts this has it
    assert process.wait() == 143
    return name


def merged(name):
    parts = [run(f"{name}-{i}", "--seeds", "20", "--shard", f"{i}/2", "--figures", "none") for i in (1, 2)]
    done = subprocess.run([conv_mult, "merge", *parts, "--out", name, "--figures", "svg", "--quiet"], cwd=folder, stdout=subprocess.DEVNULL)
    assert done.returncode == 0
    return name


# Runs in the page, which gets it as a second script.
probe = """
const tables = [...document.querySelectorAll('table')];
const found = { rows: tables[0].querySelectorAll('tbody tr').length, sections: [...document.querySelectorAll('h2')].map(h => h.textContent),
  images: [...document.images].map(i => [i.alt, i.naturalWidth, (i.hasAttribute('width') && i.hasAttribute('height')) || !i.src.startsWith('data:')]),
  wide: document.documentElement.scrollWidth - innerWidth, headless: tables.filter(t => !t.tHead || !t.caption).length,
  requests: performance.getEntriesByType('resource').map(e => e.name).filter(name => !name.startsWith('data:')),
  text: document.querySelector('main').innerText, sorts: [] };
const channel = c => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number); return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
const below = element => { const own = getComputedStyle(element).backgroundColor; return /, 0\\)$|transparent/.test(own) ? below(element.parentElement) : own; };
document.body.style.backgroundColor = getComputedStyle(document.body).backgroundColor;
found.contrast = Math.min(...[...document.querySelectorAll('main *')].filter(e => [...e.childNodes].some(n => n.nodeType === 3)).map(e => {
  const [one, two] = [light(getComputedStyle(e).color), light(below(e))].sort((a, b) => a - b); return (two + 0.05) / (one + 0.05); }));
if (tables.length > 0 && tables[0].querySelector('thead button')) for (const button of tables[0].querySelectorAll('thead button')) {
  for (let i = 0; i < 2; ++i) {
    button.click();
    const k = [...button.closest('tr').children].indexOf(button.closest('th'));
    found.sorts.push([button.textContent, button.closest('th').getAttribute('aria-sort'),
      [...tables[0].querySelectorAll('tbody tr')].map(row => row.children[k].textContent)]);
  }
}
document.body.dataset.found = JSON.stringify(found);
"""


def quantity(text):
    """What a cell stands for; None for a dash."""
    if text in ("–", ""):
        return None
    times = re.findall(r"([\d.]+) (h|min|s)\b", text)
    if times:
        return sum(float(n) * {"h": 3600, "min": 60, "s": 1}[unit] for n, unit in times)
    if text == "inf":
        return float("inf")
    number = re.sub(r"–.*|[×%,\s]", "", text)
    try:
        return float(number) * (100 if text.startswith("×") else 1)
    except ValueError:
        return text


def look(name, dark=False):
    page = f"{folder}/{name}/report.html"
    with open(page, encoding="utf-8") as file:
        text = file.read()
    assert len(text.encode()) < 10e6 and (name != "default" or len(text.encode()) < 1e6), len(text)
    probed = f"{folder}/{name}/probed.html"
    with open(probed, "w", encoding="utf-8") as file:
        file.write(text.replace("</body>", f"<script>addEventListener('load', () => {{{probe}}});</script></body>"))
    mode = ["--blink-settings=preferredColorScheme=0"] if dark else []
    done = subprocess.run([*chromium, *mode, "--window-size=1280,900", "--dump-dom", f"file://{probed}"],
                          capture_output=True, text=True, check=True)
    os.remove(probed)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console, console
    found = json.loads(re.search(r'data-found="([^"]*)"', done.stdout).group(1).replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    with open(f"{folder}/{name}/summary.json", encoding="utf-8") as file:
        summary = json.load(file)
    assert not found["requests"], found["requests"]
    assert found["wide"] <= 0 and found["headless"] == 0, found
    assert found["contrast"] >= 4.5, found["contrast"]
    assert all(alt and width > 0 and sized for alt, width, sized in found["images"]), found["images"]
    for variant in summary["variants"]:
        assert variant["verdict"] in found["text"], variant["verdict"]
    first = [v for v in summary["variants"] if v["scene"] == summary["variants"][0]["scene"]]
    assert found["rows"] == len(first), (found["rows"], len(first))
    for heading, direction, cells in found["sorts"]:
        values = [quantity(cell) for cell in cells]
        known = [value for value in values if value is not None]
        if any(isinstance(value, str) for value in known):
            known = [cell for cell in cells if cell != "–"]
        assert values[len(known):] == [None] * (len(values) - len(known)), (heading, cells)
        assert known == sorted(known, reverse=direction == "descending"), (heading, direction, cells)
    print(f"{name}{' (dark)' if dark else ''}: {len(text) // 1000} kB, {len(found['images'])} figures, {found['rows']} rows, "
          f"contrast {found['contrast']:.1f}", flush=True)
    return found


def picture(name, width, *options, suffix=""):
    """In a frame, since a window is not so narrow."""
    frame = f"{folder}/frame.html"
    with open(frame, "w", encoding="utf-8") as file:
        file.write(f'<meta name="color-scheme" content="light dark"><body style="margin:0"><iframe src="{name}/report.html" style="border:0" width={width} height=4000>')
    subprocess.run([*chromium, *options, f"--window-size={max(width, 500)},4000", f"--screenshot={folder}/{name}-{width}{suffix}.png",
                    f"file://{frame}"], check=True, capture_output=True)


runs = [run("default"), run("sweep", "--config", f"{configs}/sweep.toml"), run("all", "--variant", "all", "--seeds", "20", "--steps", "500"),
        run("scenes", "--scene", "rectangles,noise", "--size", "30", "--steps", "200", "--lr", "0.01,0.1"),
        run("network", "--variant", "exp,relu", "--depth", "2,3", "--width", "4,8", "--seeds", "5", "--steps", "100"),
        run("outcomes", "--variant", "exp,nmu", "--optimizer", "adam,sgd", "--lr", "0.01,1e30", "--steps", "50"),
        run("resampled", "--scene", "noise", "--resample", "--size", "8", "--steps", "100", "--seeds", "3", "--figures", "png"),
        run("one", "--variant", "baseline,exp,nmu,bilinear", "--kernel-size", "1"),
        run("nothing", "--variant", "exp,relu", "--optimizer", "sgd", "--lr", "1e30", "--seeds", "3"),
        run("곱셈 <b>&amp;", "--size", "30", "--steps", "50"), merged("merged"), interrupted("interrupted")]
for each in runs:
    shown = look(each)
    assert ("Interrupted" in shown["text"]) == (each == "interrupted")
    assert ("In pictures" in shown["sections"]) == (each != "interrupted")
look("default", dark=True)
for width in (360, 1280):
    picture("default", width)
    picture("all", width)
picture("default", 1280, "--blink-settings=preferredColorScheme=0", suffix="-dark")
for each in ("default", "sweep", "network"):
    subprocess.run([*chromium, "--no-pdf-header-footer", f"--print-to-pdf={folder}/{each}.pdf", f"file://{folder}/{each}/report.html"],
                   check=True, capture_output=True)
print(f"screenshots are in {folder}")
