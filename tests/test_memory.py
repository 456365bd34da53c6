"""What a fit needs grows with what it is given; what there is, is read from the system."""

import warnings

import numpy as np
import pytest

from synthgan.errors import DataError
from synthgan.layout import ATOM, CONTINUOUS, Layout, Span
from synthgan.memory import available_bytes, check_memory, estimate_bytes

GB = 10**9


def span(name, n_levels):
    n_levels = np.array(n_levels, dtype=np.int32)
    return Span(name, n_levels, np.full(len(n_levels), np.nan, np.float32))


LAYOUT = Layout.of([span("age", [CONTINUOUS] * 50), span("sex", [ATOM] * 2), span("city", [ATOM, 20, 20])])
WIDE = Layout.of([*LAYOUT.spans, span("code", [ATOM] * 50_000)])
HUGE = 10**12  # rows


def machine(folder, available, groups="", **files):
    """Lay out what Linux says of a machine with so many bytes left."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable: {available // 1024} kB\n")
    (folder / "proc/self/cgroup").write_text(groups)
    for path, text in files.items():
        path = folder / "sys/fs/cgroup" / path.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(text))
    return folder


class TestEstimate:
    def test_by_hand(self):
        # 240 MB; 1,000 rows of 3 columns: 17 bytes a cell, 140 a row; 12 copies of 4 bytes a weight; a batch
        # of 10 rows needs less than the 16,384 rows that are drawn to calibrate: 40 bytes a cell.
        expected = 240 * 10**6 + 1000 * (17 * 3 + 140) + 12 * 4 * 500 + 16_384 * 40 * 3
        assert estimate_bytes(1000, LAYOUT, 500, 10) == expected

    def test_a_batch_needs_logits_of_codes_and_cells(self):
        # 55 codes, and 20 cells in each of the two columns that have alpha; 5 float32 each.
        more = estimate_bytes(1000, LAYOUT, 0, 200_000) - estimate_bytes(1000, LAYOUT, 0, 100_000)
        assert more == 100_000 * 5 * 4 * (55 + 2 * 20)

    @pytest.mark.parametrize(
        "other",
        [
            (2000, LAYOUT, 500, 10**5),
            (1000, WIDE, 500, 10**5),
            (1000, LAYOUT, 900, 10**5),
            (1000, LAYOUT, 500, 10**6),
        ],
    )
    def test_more_of_anything_needs_more(self, other):
        assert estimate_bytes(*other) > estimate_bytes(1000, LAYOUT, 500, 10**5)


class TestAvailable:
    def test_here(self):
        assert 10**6 < available_bytes() < 10**16

    def test_the_machine(self, tmp_path):
        assert available_bytes(machine(tmp_path, 3 * 2**30)) == 3 * 2**30

    def test_a_group_of_version_2_and_the_one_above_it(self, tmp_path):
        files = {
            "a__memory_DOT_max": 2 * GB,
            "a__memory_DOT_current": GB,
            "a__memory_DOT_stat": "anon 5\ninactive_file 500\n",  # page cache is given up when it is needed
            "a__b__memory_DOT_max": "max",
            "a__b__memory_DOT_current": GB,
        }
        assert available_bytes(machine(tmp_path, 9 * GB, "0::/a/b\n", **files)) == GB + 500

    def test_a_group_of_version_1_in_a_container(self, tmp_path):
        # The path is that outside the container; inside, the top is the group.
        files = {
            "memory__memory_DOT_limit_in_bytes": 4 * GB,
            "memory__memory_DOT_usage_in_bytes": GB,
            "memory__memory_DOT_stat": "total_inactive_file 7\n",
        }
        groups = "3:cpu,cpuacct:/\n2:memory:/docker/0af\n0::/\n"
        assert available_bytes(machine(tmp_path, 9 * GB, groups, **files)) == 3 * GB + 7

    def test_a_limit_near_2_to_63_is_none(self, tmp_path):
        files = {
            "memory__memory_DOT_limit_in_bytes": 9223372036854771712,
            "memory__memory_DOT_usage_in_bytes": GB,
        }
        assert available_bytes(machine(tmp_path, 2**30, "2:memory:/\n", **files)) == 2**30

    def test_more_taken_than_allowed_is_nothing_left(self, tmp_path):
        files = {"memory_DOT_max": GB, "memory_DOT_current": 2 * GB}
        assert available_bytes(machine(tmp_path, 9 * GB, "0::/\n", **files)) == 0

    def test_a_system_without_proc_is_asked_for_its_free_pages(self, tmp_path):
        assert available_bytes(tmp_path) > 0


class TestCheck:
    def test_what_fits_passes_in_silence(self):
        with warnings.catch_warnings(action="error"):
            check_memory(1000, LAYOUT, 500, 10)

    def test_what_cannot_fit_is_refused_with_sizes_and_advice(self):
        with pytest.raises(DataError) as caught:
            check_memory(HUGE, LAYOUT, 500, 10)
        text = str(caught.value)
        assert text.startswith(
            "Fitting 1,000,000,000,000 rows of 3 columns needs about 191,000 GB of memory, and "
        )
        assert "Take a sample of " in text
        assert "hidden_dim" not in text  # would not help

    def test_the_sample_that_is_advised_fits(self):
        with pytest.raises(DataError) as caught:
            check_memory(HUGE, LAYOUT, 500, 10)
        n_rows = int(str(caught.value).partition("sample of ")[2].partition(" rows")[0].replace(",", ""))
        assert n_rows > 10**6 or available_bytes() < 2 * GB
        with warnings.catch_warnings(action="error"):
            check_memory(int(0.95 * n_rows), LAYOUT, 500, 10)  # others may take some meanwhile

    def test_what_takes_most_of_it_is_warned_of(self):
        share = 1.1 * available_bytes() - estimate_bytes(0, LAYOUT, 0, 10)
        with pytest.warns(UserWarning, match="smaller networks"):
            check_memory(1000, LAYOUT, int(share / 48), 10)

    def test_a_column_of_many_codes_is_named(self):
        with pytest.raises(DataError, match="Column 'code' has 50,000 of 50,055 codes"):
            check_memory(1000, WIDE, 10**12, 10)

    def test_a_batch_that_does_not_fit(self):
        with pytest.raises(DataError, match="Take a smaller batch_size"):
            check_memory(1000, LAYOUT, 500, 10**12)
