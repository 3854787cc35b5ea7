"""The same specification and data give the same bytes: compiled or not, cut anywhere, on any machine."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.backtests.engine import ENGINE_VERSION, Bars, BarsError, Result, Spec, jit, kernel, run, warm_up
from apps.backtests.engine.feed import feed_of
from apps.backtests.engine.run import fingerprint_of, run_signals
from apps.backtests.engine.simulation import Simulation
from apps.backtests.engine.strategies import STRATEGIES, Signals
from apps.backtests.engine.trades import REASONS
from tests.backtests.engine import everything
from tests.backtests.engine.slow_cases import Draw, simulated
from tests.backtests.engine.specs import spec_of

Walk = Callable[[int, int], Bars]

CHECKOUT = Path(__file__).parents[3]

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")

LONG_SHORT = spec_of(
    strategy="sma_cross",
    params={"fast": 5, "slow": 21, "direction": "long_short"},
    commission=0.0004,
    slippage=0.0001,
    spread=0.0001,
    lot=0.001,
)
LONG = spec_of(strategy="sma_cross", params={"fast": 3, "slow": 8}, commission=0.001, fraction=0.37)


#: The Pythons that the product runs on, but for the one that runs the tests.
OTHERS = [f"3.{minor}" for minor in (11, 12, 13) if minor != sys.version_info.minor]

#: One sha256 over runs of everything (``everything``).
EVERYTHING = "b636cad07399c356fe3ce7e1a7e42e4b7b11fa66089b8fafc505754df62b617b"


def python(code: str, *, interpreter: str = sys.executable, **environ: str) -> str:
    """What *code* prints in an interpreter of its own."""
    done = subprocess.run(
        [interpreter, "-c", code],
        cwd=CHECKOUT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@cache
def once(bars: Bars, spec: Spec) -> Result:
    """A run in one piece, uncompiled; made once for the same bars."""
    return run(bars, spec, chunk=len(bars), jit=False)


def test_results_have_the_recorded_fingerprints(walk: Walk) -> None:
    """Recorded once; a change of any byte here needs a new ENGINE_VERSION and new records."""
    bars = walk(5000, 42)
    assert ENGINE_VERSION == "3"
    assert bars.fingerprint == "738ab39c5591c9752f51df45475c3d1afccec0f009f98a8fd0b453583cfefb37"
    assert run(bars, LONG_SHORT, jit=False).fingerprint == (
        "1629df860362f7b163214e1d84951848a951252cd86cd2ffb03120f9bee3118b"
    )
    assert run(bars, LONG, jit=False).fingerprint == (
        "f5ab917ae8657234d272f615dacb5189ef2c38f4eee0cf132c6cdb1a9c95d435"
    )


def test_the_runs_of_everything_use_everything() -> None:
    reasons: Counter[str] = Counter()
    for result in everything.runs(jit=False):
        trades = result.trades
        reasons.update(REASONS[code] for code in trades.reason.tolist())
        assert set(trades.instrument.tolist()) == {0, 1, 2}
        assert trades.entries.max() > 1
        assert np.count_nonzero(trades.funding) > 5
        assert result.metrics["entries_skipped"] > 0
        assert 0 < result.equity[-1] == pytest.approx(10_000 + trades.pnl.sum(), rel=1e-12)
        reasons["ambiguous"] += result.ambiguous
    assert set(reasons) == set(REASONS.values()) - {"bankruptcy"} | {"ambiguous"}


@pytest.mark.parametrize("jit", [pytest.param(True, marks=needs_numba), False])
def test_everything_has_one_fingerprint_however_it_is_cut(jit: bool) -> None:
    dice = random.Random(7)
    chunks = [1, dice.randrange(2, 50), dice.randrange(50, 3000), 65_536]
    assert {everything.fingerprint(jit=jit, chunk=chunk) for chunk in chunks} == {EVERYTHING}


@pytest.mark.parametrize("version", OTHERS)
def test_everything_has_one_fingerprint_on_every_python(version: str) -> None:
    """Uncompiled, in another interpreter, where one is installed with what the engine imports.

    What this interpreter makes of it is seen above.
    """
    interpreter = interpreter_of(version)
    code = """
try:
    import apps.backtests.engine
except ModuleNotFoundError as error:
    if error.name.startswith("apps"):
        raise
    print("without", error.name)
else:
    from tests.backtests.engine.everything import fingerprint
    print(fingerprint(jit=False))
"""
    said = python(code, interpreter=interpreter, PYTHONDONTWRITEBYTECODE="1")
    if said.startswith("without"):
        pytest.skip(f"{interpreter} is {said}")
    assert said == EVERYTHING


def interpreter_of(version: str) -> str:
    """One on the path, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))]
    on_path = shutil.which(f"python{version}")
    if on_path is not None and Path(on_path).parent.name != "shims":
        found.append(on_path)
    if not found:
        pytest.skip(f"no Python {version}")
    return found[-1]


def test_equity_of_everything_knows_nothing_of_what_follows() -> None:
    whole = [result.equity for result in everything.runs(200)]
    for upto in (1, 13, 100, 199):
        for equity, result in zip(whole, everything.runs(200, upto=upto), strict=True):
            before = len(result.equity) - 1
            assert result.equity[:before].tobytes() == equity[:before].tobytes()


@needs_numba
@pytest.mark.parametrize("spec", [LONG_SHORT, LONG])
def test_compiled_and_uncompiled_runs_are_equal_byte_for_byte(walk: Walk, spec: Spec) -> None:
    bars = walk(20_000, 7)
    compiled, plain = run(bars, spec, jit=True), run(bars, spec, jit=False)
    assert compiled.equity.tobytes() == plain.equity.tobytes()
    assert compiled.fingerprint == plain.fingerprint
    assert compiled.metrics == plain.metrics
    assert len(plain.trades) > 100


@needs_numba
@given(st.binary(min_size=2, max_size=80), st.integers(0, 2**32))
@settings(deadline=None)
def test_compiled_and_uncompiled_agree_on_any_signals(walk: Walk, noise: bytes, seed: int) -> None:
    bars = walk(len(noise), seed)
    wild = Bars(
        ts=bars.ts,
        open=bars.open,
        high=bars.high * 9,
        low=bars.low,
        close=bars.close * (1 + np.array(list(noise)) / 40),
        volume=bars.volume,
    )
    signals = Signals(bits=np.array([value % 16 for value in noise], np.uint8), warmup=0)
    compiled, plain = (run_signals(wild, signals, LONG_SHORT, jit=jit) for jit in (True, False))
    assert compiled.fingerprint == plain.fingerprint


@needs_numba
def test_compiled_and_uncompiled_agree_on_random_cases_cut_anywhere() -> None:
    draw = Draw(99)
    trades = 0
    for _ in range(200):
        case = draw.case()
        whole = simulated(case, optimistic=False, jit=False)
        cuts = tuple(draw.dice.randrange(1, 60) for _ in range(3))
        for fast, parts in ((True, ()), (True, cuts), (False, cuts)):
            other = simulated(case, optimistic=False, jit=fast, cuts=parts)
            assert other.equity.tobytes() == whole.equity.tobytes()
            for (_, column), (_, expected) in zip(
                other.trades.columns(), whole.trades.columns(), strict=True
            ):
                assert column.tobytes() == expected.tobytes()
            assert (other.skipped, other.ambiguous) == (whole.skipped, whole.ambiguous)
        trades += len(whole.trades)
    assert trades > 500


@given(chunk=st.integers(1, 3000), jit=st.sampled_from([None, False]))
@settings(deadline=None)
def test_chunks_of_any_size_give_the_bytes_of_one_pass(walk: Walk, chunk: int, jit: bool | None) -> None:
    bars = walk(2500, 3)
    whole = once(bars, LONG_SHORT)
    calls: list[tuple[int, int]] = []
    result = run(
        bars, LONG_SHORT, chunk=chunk, jit=jit, progress=lambda done, total: calls.append((done, total))
    )
    assert result.fingerprint == whole.fingerprint
    assert calls[-1] == (2500, 2500)
    assert [done for done, _ in calls if done] == [*range(chunk, 2500, chunk), 2500]


@given(cuts=st.lists(st.integers(0, 600), max_size=6), jit=st.sampled_from([None, False]))
@settings(deadline=None)
def test_a_simulation_may_be_cut_anywhere(walk: Walk, cuts: list[int], jit: bool | None) -> None:
    bars = walk(600, 5)
    signals = STRATEGIES["sma_cross"].signals(bars, LONG_SHORT.params)
    simulation = Simulation(LONG_SHORT, [feed_of(bars, signals)], jit=jit)
    equity = np.empty(600)
    for start, stop in pairwise([0, *sorted(cuts), 600]):
        simulation.advance(stop, equity[start:stop])
    equity[-1] = simulation.finish()
    assert equity.tobytes() == once(bars, LONG_SHORT).equity.tobytes()


def test_progress_counts_the_joint_bars_of_several_instruments(walk: Walk) -> None:
    bars, half = walk(1000, 1), walk(1000, 2).part(400, 900)
    calls: list[tuple[int, int]] = []
    data = {"a": bars, "b": half}
    result = run(data, LONG, chunk=400, progress=lambda done, total: calls.append((done, total)))
    assert len(result.equity) == 1000
    assert {total for _, total in calls} == {1000}
    assert [done for done, _ in calls if done] == [400, 800, 1000]
    assert calls[0] == (0, 1000)


def test_an_exception_of_the_progress_callback_ends_the_run(walk: Walk) -> None:
    class Cancelled(Exception):
        pass

    calls: list[int] = []

    def progress(done: int, total: int) -> None:
        calls.append(done)
        if done >= 200:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(walk(1000, 1), LONG, chunk=100, progress=progress)
    assert [done for done in calls if done] == [100, 200]


@given(cut=st.integers(1, 400), seed=st.integers(0, 50))
@settings(deadline=None)
def test_signals_of_a_prefix_are_the_prefix_of_the_signals(walk: Walk, cut: int, seed: int) -> None:
    bars = walk(400, seed)
    signals = STRATEGIES["sma_cross"].signals
    assert signals(bars.head(cut), LONG_SHORT.params).bits.tobytes() == (
        signals(bars, LONG_SHORT.params).bits[:cut].tobytes()
    )


@pytest.mark.parametrize("spec", [LONG_SHORT, LONG])
def test_equity_before_the_end_knows_nothing_of_what_follows(walk: Walk, spec: Spec) -> None:
    bars = walk(1000, 9)
    equity = run(bars, spec).equity
    for cut in (2, 30, 333, 999):
        assert run(bars.head(cut), spec).equity[: cut - 1].tobytes() == equity[: cut - 1].tobytes()


@pytest.mark.parametrize("spec", [LONG_SHORT, LONG])
def test_money_is_conserved(walk: Walk, spec: Spec) -> None:
    for seed in range(10):
        result = run(walk(3000, seed), spec)
        assert result.metrics["n_trades"] > 50
        assert result.equity[-1] == pytest.approx(spec.cash + result.trades.pnl.sum(), rel=1e-12)
        fees = result.trades
        value = np.abs(fees.size) * (fees.entry_price + fees.exit_price)
        assert fees.commission == pytest.approx(value * spec.costs.taker, rel=1e-12)


def test_a_result_carries_what_identifies_it(walk: Walk) -> None:
    bars = walk(100, 1)
    result = run(bars, LONG)
    assert (result.spec_hash, result.data_fingerprint, result.engine_version) == (
        LONG.spec_hash,
        fingerprint_of(bars),
        ENGINE_VERSION,
    )
    assert result.equity.shape == (100,)


def test_data_are_identified_by_all_that_a_result_depends_on(walk: Walk) -> None:
    """Bars, which of them are finer, names, and the step, by which higher timeframes are made."""
    bars, others = walk(100, 1), walk(100, 2)
    columns = {name: getattr(bars, name) for name in ("ts", "open", "high", "low", "close", "volume")}
    stepped = Bars(**columns, step=bars.step // 2)
    assert fingerprint_of(Bars(**columns)) == fingerprint_of(bars)
    given = [
        (bars,), (others,), (stepped,), (bars, others), (bars, stepped), (others, bars),
        ({"a": bars},), ({"b": bars},), ({"a": bars, "b": others},), ({"b": others, "a": bars},),
        ({"a": bars, "b": stepped},),
    ]  # fmt: skip
    assert len({fingerprint_of(*each) for each in given}) == len(given)


def test_there_must_be_bars_and_chunks(bars_of: Callable[..., Bars]) -> None:
    with pytest.raises(BarsError, match="no bars"):
        run(bars_of([]), LONG)
    with pytest.raises(BarsError, match="no bars"):
        run({"a": bars_of([1.0]), "b": bars_of([])}, LONG, progress=lambda done, total: None)
    with pytest.raises(ValueError, match="at least one bar"):
        run(bars_of([1.0]), LONG, chunk=0)


def test_equity_beyond_float64_is_refused(bars_of: Callable[..., Bars]) -> None:
    """Thirty gains by a factor of 1e29 each."""
    bars = bars_of([1e-15, 1e15] * 30, opens=[1e15, 1e-15] * 30)
    bits = np.array([kernel.ENTER_LONG, kernel.EXIT_LONG] * 30, np.uint8)
    with pytest.raises(BarsError, match="beyond the range"):
        run_signals(bars, Signals(bits=bits, warmup=0), LONG, jit=False)


@needs_numba
def test_the_environment_can_switch_compiling_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jit.chosen(None) is jit.compiled()
    assert jit.chosen(True) is jit.compiled()
    assert jit.chosen(False) is None
    assert warm_up()
    monkeypatch.setenv("CHANDLERY_JIT", "0")
    assert jit.chosen(None) is None
    assert jit.chosen(True) is jit.compiled()
    assert not warm_up()


def test_without_numba_the_same_loop_runs_and_insisting_fails() -> None:
    code = """
import sys
sys.modules["numba"] = None  # as if it were not installed
from apps.backtests.engine import jit
assert jit.chosen(None) is None
try:
    jit.chosen(True)
except RuntimeError as error:
    print(error)
"""
    assert python(code) == "jit=True needs numba, which cannot be imported here"


@needs_numba
def test_where_no_cache_can_be_written_the_loops_are_compiled_all_the_same() -> None:
    """Making them is what could fail; only the quickest is compiled here."""
    code = """
import numba
import numpy as np
from numba.core import caching
caching.CacheImpl._locator_classes = []  # no place to write to, as in a read-only container
try:
    numba.njit(cache=True)(lambda: None)
except RuntimeError as error:
    assert "no locator" in str(error)
else:
    raise SystemExit("this numba no longer refuses")
from apps.backtests.engine import jit
from apps.backtests.engine.indicators import compiled, crosses
from apps.backtests.engine.sweep import tally
assert jit.compiled() is not None and tally.chosen(None) is not None
print(compiled.compiled("crossings").nopython_signatures)
print(*(side.tolist() for side in crosses(np.array([1.0, 3.0, 1.0]), np.array([2.0, 2.0, 2.0]))))
print(len(compiled.compiled("crossings").nopython_signatures))
"""
    assert python(code).splitlines() == ["[]", "[False, True, False] [False, False, True]", "1"]


def test_the_engine_imports_neither_django_nor_numba() -> None:
    code = """
import sys
import apps.backtests.engine
print(sorted({"django", "celery", "numba", "pandas"} & set(sys.modules)))
print(sorted(name for name in sys.modules if name.startswith("apps.") and "backtests" not in name))
"""
    assert python(code) == "[]\n[]"
