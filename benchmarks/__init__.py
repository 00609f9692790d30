"""How fast the engine is, beside what else would serve several LoRA adapters on one base."""
