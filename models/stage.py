"""Stage: which base is on. The one object that the page and the API are given."""

import threading

from models.base import load_base
from models.engine import Engine
from models.registry import Registry


class Stage:
    """The registry and the engine of the base that answers now."""

    def __init__(self, registry: Registry, base: str | None = None):
        self.registry = registry
        self._switching = threading.Lock()
        self._engine = Engine(load_base(registry, base or registry.default), registry)

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def base(self) -> str:
        return self._engine.base.name

    def switch(self, name: str) -> None:
        """Put base `name` on. Answers in flight end on the old one; if loading fails, the old one stays."""
        with self._switching:
            if name == self.base:
                return
            before, self._engine = self._engine, Engine(load_base(self.registry, name), self.registry)
            before.close(drain=True)

    def close(self) -> None:
        self._engine.close()
