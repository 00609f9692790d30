"""python -m benchmarks: every figure in one run, into benchmarks/RESULTS.md and results-SHAPE.json."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))

from benchmarks import figures, report
from benchmarks.contenders import Troupe, build_llama_cpp, build_peft
from benchmarks.figures import Figure
from benchmarks.process import Elsewhere
from benchmarks.shapes import LLAMA_1B, SMOLLM_135M, Shape, make_registry
from models.stage import load_engine

HERE = Path(__file__).parent
_ADAPTERS = 4


def main() -> int:
    """All figures of one shape."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"the shape of {SMOLLM_135M.title}, fewer rounds"
    )
    parser.add_argument("--rounds", type=int, help="pairs per figure (default: 5, quick 3)")
    parser.add_argument("--cache", type=Path, default=HERE / "made", help="folder for the random models")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for RESULTS.md and its files")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    options.out.mkdir(parents=True, exist_ok=True)  # before the hour, not after it
    shape = SMOLLM_135M if options.quick else LLAMA_1B
    rounds = options.rounds or (3 if options.quick else 5)
    found = measure(shape, options.cache / shape.name, rounds)
    report.write(found, options.out)
    return 0


def measure(shape: Shape, folder: Path, rounds: int) -> report.Results:
    """Makes the models, starts the contenders, and takes one figure after the other."""
    threads = int(os.environ["OMP_NUM_THREADS"])
    with ThreadPoolExecutor(1) as own:  # a thread that ends, as in load_engine
        registry = own.submit(make_registry, shape, folder, _ADAPTERS).result()
    machine = report.machine(threads)
    engine = load_engine(registry, shape.name)
    ours = Troupe(engine)
    found: list[Figure] = []

    def note(figure: Figure) -> None:
        found.append(figure)
        print(report.line(figure), flush=True)

    try:
        _figures(shape, folder, threads, ours, rounds, note)
    except KeyboardInterrupt:
        print("stopped: what was measured so far is written")
    finally:
        bytes_each = engine.counters.resident_bytes["a0"] / shape.adapter_parameters
        engine.close()
    return report.Results(shape, machine, found, bytes_each)


def _figures(
    shape: Shape, folder: Path, threads: int, ours: Troupe, rounds: int, note: Callable[[Figure], None]
) -> None:
    prompts, few = figures.Prompts(shape), max(2, rounds // 2)
    peft = Elsewhere(build_peft, folder, _ADAPTERS)
    switch, names = peft.contender("switch"), peft.contender("names")
    note(figures.decoding(ours, switch, ">= 1.7", prompts, rounds))
    if llama_cpp := _llama_cpp(shape, folder, threads):
        llama = llama_cpp.contender("llama")
        note(figures.decoding(ours, llama, ">= 0.7", prompts, rounds))
        note(figures.reading(ours, llama, prompts, rounds))
        note(figures.side_by_side(ours, llama, "<= 0.6", prompts, rounds))
        llama_cpp.close()
    note(figures.switching(ours, prompts))
    note(figures.later_turns(ours, prompts, rounds))
    for figure in figures.gaps(ours, prompts, rounds):
        note(figure)
    note(figures.side_by_side(ours, switch, "<= 0.25", prompts, few))
    note(figures.crowd(ours, switch, prompts, few))
    note(figures.long_contexts(ours, prompts, few))
    note(figures.residents(ours, prompts, few))
    note(figures.side_by_side(ours, names, "<= 1", prompts, few))
    peft.close()


def _llama_cpp(shape: Shape, folder: Path, threads: int) -> Elsewhere | None:
    if not (find_spec("llama_cpp") and find_spec("gguf")):
        print("llama.cpp is left out: pip install -r benchmarks/requirements.txt (it compiles for minutes)")
        return None
    return Elsewhere(build_llama_cpp, shape, folder, threads)


if __name__ == "__main__":
    sys.exit(main())
