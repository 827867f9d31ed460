"""The most memory that tensors held at once, counted at every operation: independent of the arithmetic it tests."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Peak(TorchDispatchMode):
    """bytes: of the tensors that live now; most: of those that ever lived at once. model: what is there already."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.bytes = self.most = 0
        self._known: dict[weakref.ref, int] = {}
        for weight in [*model.parameters(), *model.buffers()]:
            self._note(weight)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(found):
            if isinstance(leaf, torch.Tensor):
                self._note(leaf)
        return found

    def _note(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        reference = weakref.ref(storage, self._forget)
        if reference not in self._known:
            self._known[reference] = storage.nbytes()
            self.bytes += storage.nbytes()
            self.most = max(self.most, self.bytes)

    def _forget(self, reference: weakref.ref) -> None:
        self.bytes -= self._known.pop(reference)
