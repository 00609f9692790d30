"""QLoRA by a recipe: TRL's SFTTrainer and PEFT on the 4-bit base, loss on the answers only."""

import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig, SFTTrainer

from models.base import LoadedBase, load_base
from models.registry import Registry
from training.adapter import Fingerprint, Report, register, save_adapter
from training.data import Split, TokenRows, read_split, token_rows
from training.golden import golden
from training.plot import plot_losses
from training.progress import MetricsFile
from training.recipe import Recipe, RecipeError
from training.sampler import LengthGrouped

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One training: which recipe on which base, where its files go, and whether it continues a broken run.

    `out` is the adapter's folder; checkpoints, metrics.jsonl and loss.png lie in `run`.
    """

    recipe: Recipe
    base: str
    out: Path
    run: Path
    resume: bool = False
    again: bool = True  # train even if `out` was made from the very same recipe, data and base


def train(job: Job, registry: Registry) -> Path:
    """Train, evaluate, save and register an adapter; returns its folder. Any TroupeError is for people."""
    recipe = job.recipe
    _check_out(job.out)
    split = read_split(recipe)
    base = load_base(registry, job.base, train=True)
    print(base.summary)
    _check_length(recipe, base)
    fingerprint = Fingerprint.of(recipe, split, base)
    if not job.again and fingerprint == Fingerprint.read(job.out):
        print(f"{recipe.name}: up to date in {job.out}")
        return job.out
    checkpoint = _checkpoint(job, fingerprint)
    rows = _token_rows(split, base, recipe)
    trainer = make_trainer(recipe, base, rows, job.run)
    before = held_out_loss(trainer)
    print(
        f"{recipe.name}: held-out loss of the base {before:.3f}"
        if before
        else f"{recipe.name}: none held out"
    )
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=checkpoint)
    seconds = time.perf_counter() - started
    _round_to_shipped_precision(trainer)
    after = held_out_loss(trainer)
    report = Report(
        fingerprint=fingerprint,
        base_id=base.name if Path(registry.resolve(base.spec.model)).is_dir() else base.spec.model,
        split=split,
        too_long=(rows[0].too_long, rows[1].too_long),
        held_out_loss=(before, after),
        steps=trainer.state.global_step,
        seconds=seconds,
    )
    answers = golden(trainer.model, base, split.train)
    save_adapter(trainer.model, job.out, recipe, base, report, answers)
    plot_losses(
        trainer.state.log_history, before, after, job.run / "loss.png", f"{recipe.name} on {job.base}"
    )
    register(registry, job.base, recipe, job.out)
    shutil.rmtree(_checkpoints(job.run), ignore_errors=True)
    print(report.summary(recipe.name, job.out))
    return job.out


class _Trainer(SFTTrainer):
    """SFTTrainer with batches of like lengths that a continued run draws again in the same order."""

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> LengthGrouped:
        lengths = [len(ids) for ids in self.train_dataset["input_ids"]]
        return LengthGrouped(lengths, self.args.per_device_train_batch_size, self.args.data_seed)

    def compute_loss(self, model: torch.nn.Module, inputs: dict, *args: Any, **kwargs: Any) -> Any:
        # TRL's fused head saves memory on a GPU; on a CPU its recomputation costs a fifth of the speed.
        owner = super() if self.accelerator.device.type == "cuda" else super(SFTTrainer, self)
        return owner.compute_loss(model, inputs, *args, **kwargs)


def make_trainer(
    recipe: Recipe, base: LoadedBase, rows: tuple[TokenRows, TokenRows], run: Path
) -> SFTTrainer:
    """The trainer, its adapter in float32 whatever the base computes in."""
    trainer = _Trainer(
        model=base.model,
        args=_arguments(recipe, base, run),
        train_dataset=rows[0].rows,
        eval_dataset=rows[1].rows if len(rows[1].rows) else None,
        processing_class=base.tokenizer,
        peft_config=_lora(recipe),
        callbacks=[MetricsFile(run / "metrics.jsonl")],
    )
    # TRL turns the adapter of a quantised base to bfloat16, in which small updates are lost.
    for weight in trainer.model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    return trainer


def held_out_loss(trainer: SFTTrainer) -> float | None:
    """Mean negative log-likelihood of the held-out answers' tokens, in nats; None if nothing is held out."""
    if trainer.eval_dataset is None:
        return None
    model, training, total, tokens = trainer.model, trainer.model.training, 0.0, 0
    model.eval()
    with torch.no_grad():
        for batch in trainer.get_eval_dataloader():
            # The first token has nothing before it, so it is never predicted.
            count = int((batch["labels"][:, 1:] != -100).sum())
            total += float(trainer.compute_loss(model, batch)) * count
            tokens += count
    model.train(training)
    return total / tokens


def _token_rows(split: Split, base: LoadedBase, recipe: Recipe) -> tuple[TokenRows, TokenRows]:
    learn, test = (
        token_rows(base.tokenizer, side, recipe.train.length) for side in (split.train, split.test)
    )
    print(
        f"{recipe.name}: {len(learn.rows)} conversations to learn from, {len(test.rows)} held out; "
        f"{learn.too_long} and {test.too_long} longer than {recipe.train.length} tokens left out"
    )
    if not len(learn.rows):
        raise RecipeError(
            f"Recipe {recipe.name}: no conversation is as short as train.length={recipe.train.length} tokens."
        )
    return learn, test


def _arguments(recipe: Recipe, base: LoadedBase, run: Path) -> SFTConfig:
    t = recipe.train
    cuda = base.device.type == "cuda"
    bf16 = cuda and torch.cuda.is_bf16_supported()
    return SFTConfig(
        output_dir=str(_checkpoints(run)),
        num_train_epochs=t.epochs,
        max_steps=t.steps or -1,
        per_device_train_batch_size=t.batch,
        per_device_eval_batch_size=t.batch,
        gradient_accumulation_steps=t.accumulation,
        learning_rate=t.lr,
        lr_scheduler_type=t.scheduler,
        warmup_steps=t.warmup,
        weight_decay=t.weight_decay,
        max_grad_norm=t.grad_norm,
        optim=t.optimiser,
        seed=t.seed,
        data_seed=t.seed,
        gradient_checkpointing=t.checkpointing,
        bf16=bf16,
        fp16=cuda and not bf16,
        use_cpu=not cuda,
        # The rows are token ids already, made by the code that serves.
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        logging_steps=10,
        save_steps=t.save_every,
        save_total_limit=2,
        report_to="none",
    )


def _lora(recipe: Recipe) -> LoraConfig:
    lora = recipe.lora
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
        use_rslora=lora.rslora,
        task_type="CAUSAL_LM",
    )


def _round_to_shipped_precision(trainer: SFTTrainer) -> None:
    """The file holds bfloat16, so that is what the last figure has to be measured on."""
    for weight in trainer.model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.bfloat16().float()


def _checkpoints(run: Path) -> Path:
    return run / "checkpoints"


def _checkpoint(job: Job, fingerprint: Fingerprint) -> str | None:
    """Where a broken run goes on, if that is wanted and it was the same run; else the ground is cleared."""
    folder = _checkpoints(job.run)
    found = get_last_checkpoint(str(folder)) if job.resume and folder.is_dir() else None
    if found:
        changed = fingerprint.differences(Fingerprint.read(job.run))
        if changed and job.again:
            raise RecipeError(
                f"The unfinished run in {job.run} cannot be continued: {', '.join(changed)} changed since. "
                "Start it afresh, without --resume."
            )
        if not changed:
            print(f"{job.recipe.name}: continuing {found}")
            return found
        print(f"{job.recipe.name}: {', '.join(changed)} changed since the unfinished run; starting afresh")
    shutil.rmtree(job.run, ignore_errors=True)
    job.run.mkdir(parents=True)
    fingerprint.write(job.run)
    return None


def _check_out(folder: Path) -> None:
    """The folder is replaced as a whole: it must not be one that holds something else."""
    if folder.exists() and not (folder / "adapter_config.json").is_file() and any(folder.iterdir()):
        raise RecipeError(f"{folder} holds files but no adapter; name a new or empty folder with --out.")


def _check_length(recipe: Recipe, base: LoadedBase) -> None:
    if recipe.train.length > base.context:
        raise RecipeError(
            f"Recipe {recipe.name}: key 'train.length', value {recipe.train.length}: base {base.name} has a "
            f"context of {base.context} tokens."
        )
