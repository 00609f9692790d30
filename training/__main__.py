"""Command line: `train RECIPE` makes an adapter, `evaluate` measures, `embedded` makes what ships."""

import argparse
import logging
import os
import sys
from pathlib import Path

from models.errors import TroupeError
from models.registry import Registry
from training.recipe import Recipe, recipe_names

ROOT = Path(__file__).resolve().parent.parent
RUNS = Path("runs")
EMBEDDED = ("finetome", "emoji", "dolly", "email", "jokes")


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 something a person can mend (said in one line on stderr)."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        options.run(options)
    except TroupeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument(
        "--adapters-file",
        type=Path,
        default=Path(os.environ.get("ADAPTERS_FILE", ROOT / "adapters.yaml")),
        help="the registry (default: adapters.yaml of this repository)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="train one adapter and register it")
    train.add_argument("recipe", metavar="RECIPE", help=f"{', '.join(recipe_names())}, or a path")
    train.add_argument("--base", help="a base of adapters.yaml (default: the one that starts)")
    train.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="settings", help="as in train.lr=1e-3"
    )
    train.add_argument("--out", type=Path, help="the adapter's folder (default: models/BASE/adapters/RECIPE)")
    train.add_argument(
        "--resume", action="store_true", help="go on where a killed run of this recipe stopped"
    )
    train.set_defaults(run=_train)
    evaluate = commands.add_parser("evaluate", help="losses at home and away, and what each role gets right")
    evaluate.add_argument("--base", help="a base of adapters.yaml (default: the one that starts)")
    evaluate.add_argument("--count", type=_positive, help="rows or prompts per figure (default: all)")
    evaluate.add_argument("--out", type=Path, help="folder of the report (default: runs/evaluation/BASE)")
    evaluate.add_argument("--report", type=Path, metavar="JSON", help="show this report again")
    evaluate.add_argument("--card", action="store_true", help="put figures and answers into the base's card")
    evaluate.add_argument("--compare", nargs=2, type=Path, metavar="JSON", help="two reports side by side")
    evaluate.set_defaults(run=_evaluate)
    embedded = commands.add_parser(
        "embedded", help="make the shipped base, its adapters and the Whisper; resumable"
    )
    embedded.add_argument("--only", choices=["base", "adapters", "whisper"], help="one of the steps")
    embedded.add_argument("--seed", type=int, help="another one than the recipes', to see what chance does")
    embedded.set_defaults(run=_embedded)
    return parser


def _train(options: argparse.Namespace) -> None:
    from training.train import Job, train

    registry = Registry.load(options.adapters_file)
    base = options.base or registry.default
    registry.base(base)
    recipe = Recipe.load(options.recipe).on(base).with_settings(options.settings)
    out = options.out or _home(registry, base) / recipe.name
    train(Job(recipe, base, out, RUNS / "train" / base / recipe.name, resume=options.resume), registry)


def _evaluate(options: argparse.Namespace) -> None:
    from training.report import Report, compared

    if options.compare:
        print("\n".join(compared(*(Report.load(path) for path in options.compare))))
        return
    registry = Registry.load(options.adapters_file)
    # the rest loads torch
    from training.card import write_card
    from training.evaluate import evaluate, write

    base = options.base or registry.default
    report = Report.load(options.report) if options.report else evaluate(registry, base, options.count)
    write(report, options.out or RUNS / "evaluation" / report.base)
    if options.card:
        print(f"Card: {write_card(report, registry)}")


def _embedded(options: argparse.Namespace) -> None:
    registry, seed = Registry.load(options.adapters_file), options.seed
    home = registry.path.resolve().parent / "models" / "embedded"
    runs = RUNS if seed is None else RUNS / f"seed-{seed}"
    if options.only in (None, "base"):
        from training.embedded import make_base
        from training.embedded.pretrain import Settings

        settings = Settings() if seed is None else Settings(seed=seed)
        make_base(home / "base", runs / "base", settings=settings)
    if options.only in (None, "adapters"):
        from training.train import Job, train

        for name in EMBEDDED:
            recipe = Recipe.load(name).on("embedded")
            recipe = recipe if seed is None else recipe.with_settings([f"train.seed={seed}"])
            run, out = runs / "train" / "embedded" / name, home / "adapters" / name
            train(Job(recipe, "embedded", out, run, resume=True, again=False), registry)
    if options.only in (None, "whisper"):
        from training.embedded.speech import make_whisper
        from training.embedded.speech.trainer import Settings

        settings = Settings() if seed is None else Settings(seed=seed)
        make_whisper(home / "whisper", runs / "whisper", settings=settings)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _home(registry: Registry, base: str) -> Path:
    return registry.path.resolve().parent / "models" / base / "adapters"


if __name__ == "__main__":
    sys.exit(main())
