"""How fast, and in how much memory, are many rows written?

    python -m benchmarks.streaming MODEL N_ROWS OUTPUT

MODEL is "independent" or "tabular-gan" (a tiny one), fitted to Adult. Prints rows a second and the peak
of the resident memory, which must not depend on N_ROWS.
"""

import resource
import sys
import time

from synthgan import IndependentSynthesizer, TabularGAN, datasets

MODELS = {
    "independent": IndependentSynthesizer(random_state=0),
    "tabular-gan": TabularGAN(hidden_dim=32, n_steps=60, n_gan_steps=60, device="cpu", random_state=0),
}


def main(name: str, n_rows: int, output: str) -> None:
    """Fit, then write."""
    model = MODELS[name].fit(datasets.load_adult()[0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    start = time.perf_counter()
    model.sample_to(output, n_rows, random_state=0)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{name}: {n_rows:,} rows in {seconds:.1f} s, {n_rows / seconds:,.0f} rows/s; "
        f"peak {peak:.2f} GiB, {before:.2f} GiB of it after fitting"
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
