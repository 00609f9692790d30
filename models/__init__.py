"""What answers: the registry, the 4-bit base, its adapters and the engine. Importing loads no model."""
