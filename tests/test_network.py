"""Nothing is sent anywhere: a process that may not open a socket does all that synthgan does."""

import subprocess
import sys

OFFLINE = """
import sys

def refuse(event, arguments):
    if event.startswith("socket."):
        raise RuntimeError(f"synthgan opened a socket: {event}")

sys.addaudithook(refuse)
"""
WORK = """
import numpy as np
import pandas as pd

import synthgan
from synthgan.cli import main

rng = np.random.default_rng(0)
real = pd.DataFrame({"age": rng.integers(18, 80, 100), "rich": rng.choice(["yes", "no"], 100)})
tiny = synthgan.TabularGAN(hidden_dim=16, n_steps=8, n_gan_steps=4, random_state=0)
for model in (synthgan.IndependentSynthesizer(random_state=0), tiny):
    model.fit(real).save("m.synthgan")
    again = synthgan.load("m.synthgan")
    again.sample_to("out.parquet", 200, random_state=0)
    again.impute(real.mask(real["age"] > 70))
    again.score_samples(real)
synthetic = synthgan.read_table("out.parquet")
report = synthgan.evaluate(real, synthetic.head(100), holdout=real.head(50), target="rich", random_state=0)
report.to_html("r.html")
real.to_csv("real.csv", index=False)
for line in (
    "fit real.csv -o c.synthgan --model independent",
    "sample c.synthgan -n 50 -o s.csv",
    "sample c.synthgan -n 50 -o parts",
    "inspect c.synthgan",
    "impute c.synthgan s.csv -o i.csv",
    "evaluate --real real.csv --synthetic s.csv --part privacy",
):
    main(line.split(), standalone_mode=False)
page = open("r.html", encoding="utf-8").read()
assert "src=\\"http" not in page and "<script" not in page and "<link" not in page
"""


def run(code, folder):
    return subprocess.run([sys.executable, "-c", OFFLINE + code], cwd=folder, capture_output=True, text=True)


def test_nothing_opens_a_socket(tmp_path):
    done = run(WORK, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_socket_would_have_been_seen(tmp_path):
    for code in ("import socket; socket.socket()", "import socket; socket.getaddrinfo('localhost', 80)"):
        assert "opened a socket" in run(code, tmp_path).stderr
