"""Where calls are seen: the seam at torch's attention function, and the path of modules around it.

A function mode sees `torch.nn.functional.scaled_dot_product_attention` however a model came by the function. Its
mere presence would turn off the fast path of torch's own attention modules, and so change the output; while one of
those is at work the mode steps aside, and their calls are seen through the names by which torch itself calls them.
Modules are followed by global hooks, so that no module of the model is touched.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import get_ident
from typing import Any, Protocol
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils._python_dispatch import _disable_current_modes

from regard.attend import Announcement, is_running, listening
from regard.engines.kernel import run_caught
from regard.errors import RegardError, WantError
from regard.watch.calls import Arguments, Call, translate, unreadable
from regard.watch.fast_path import ENCODER_LAYER, MULTIHEAD, fast_path_call

_OWN_ATTENTION = (nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.MultiheadAttention)


class Sink(Protocol):
    """What is told of calls; modules at work are given outermost first."""

    def call(self, modules: tuple[nn.Module, ...], call: Call) -> None:
        """Take in a call."""
        ...

    def missed(self, modules: tuple[nn.Module, ...], reason: str) -> None:
        """Take in that a call could not be looked into."""
        ...

    def entered(self, module: nn.Module) -> None:
        """Take in that a module's forward was entered."""
        ...


class _Seam(TorchFunctionMode):
    """One thread's interception, shared by all who watch in it."""

    def __init__(self) -> None:
        super().__init__()
        self.sinks: list[Sink] = []
        self._modules: list[nn.Module] = []
        self._aside: ExitStack | None = None
        self._thread = get_ident()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Install the mode and the hooks; take them away at the end, whatever happens."""
        with ExitStack() as stack:
            for handle in (
                hooks.register_module_forward_pre_hook(self._enter_module),
                hooks.register_module_forward_hook(self._leave_module, always_call=True),
            ):
                stack.callback(handle.remove)
            stack.enter_context(listening(self._announced))
            stack.enter_context(self)
            # An interrupt can pass by the hooks that would end this.
            stack.callback(self._come_back)
            yield

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run every function as it is; look at attention."""
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return self._attention(func, args, kwargs)
        if func is F.multi_head_attention_forward:
            with self._by_name():
                return func(*args, **kwargs)
        return func(*args, **kwargs)

    def _attention(self, func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """Run torch's attention function and tell the sinks of it."""
        if is_running() or _in_backward() or get_ident() != self._thread:
            return func(*args, **kwargs)
        output, caught = run_caught(lambda: func(*args, **kwargs))
        given = Arguments.bound(args, kwargs)
        tensors = [given.query, given.key, given.value, *([] if given.attn_mask is None else [given.attn_mask])]
        self._tell(tensors, lambda: translate(given, caught, output))
        return output

    def _whole_layer(self, name: str, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Run one of torch's whole-layer operators and tell the sinks of the attention inside."""
        results = func(*args)
        # The operator of a layer passes over the module that would have made the call.
        layer = self._modules[-1] if self._modules else None
        inner = (layer.self_attn,) if isinstance(layer, nn.TransformerEncoderLayer) else ()
        self._tell(args[:1], lambda: fast_path_call(name, args), inner)
        return results

    def _announced(self, announcement: Announcement) -> None:
        """Tell the sinks of a call of `regard.attend`."""
        if _in_backward() or get_ident() != self._thread:
            return
        problem, lse = announcement.problem, announcement.computed.lse

        def call() -> Call:
            if not problem.is_softmax:
                raise WantError(f"its weights are no softmax but {problem.mechanism.weighing.kind}")
            return Call(problem, lse, announcement.engine, problem.mechanism.dropout, announcement.computed.output)

        self._tell([problem.query, problem.key, problem.value], call)

    def _tell(self, tensors: Sequence[Tensor], make: Callable[[], Call], inner: tuple[nn.Module, ...] = ()) -> None:
        """Hand a call to the sinks, with every mode, autocast and gradient recording off meanwhile."""
        modules, call = (*self._modules, *inner), None
        with ExitStack() as stack:
            stack.enter_context(torch._C.DisableTorchFunction())
            stack.enter_context(_disable_current_modes())
            # The order matters: leaving inference mode turns gradients on.
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.no_grad())
            if (reason := unreadable(tensors)) is None:
                try:
                    call = make()
                except RegardError as error:
                    reason = f"it is none that regard can express: {error}"
            if call is None:
                for sink in self.sinks:
                    sink.missed(modules, str(reason))
                return
            stack.enter_context(torch.autocast(tensors[0].device.type, enabled=False))
            for sink in self.sinks:
                sink.call(modules, call)

    def _enter_module(self, module: nn.Module, inputs: Any) -> None:
        if get_ident() != self._thread:
            return
        self._modules.append(module)
        for sink in self.sinks:
            sink.entered(module)
        if not isinstance(module, _OWN_ATTENTION) or self._aside is not None:
            return
        if _get_current_function_mode_stack() == [self]:
            self._aside = ExitStack()
            self._aside.enter_context(_popped(self))
            self._aside.enter_context(self._by_name())

    def _leave_module(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if get_ident() != self._thread or module not in self._modules:
            return
        while self._modules.pop() is not module:
            pass
        if not any(isinstance(outer, _OWN_ATTENTION) for outer in self._modules):
            self._come_back()

    def _come_back(self) -> None:
        """Be the mode again, after having stepped aside."""
        if self._aside is not None:
            self._aside.close()
            self._aside = None

    @contextmanager
    def _by_name(self) -> Iterator[None]:
        """See calls through the names by which torch's own modules call attention."""
        with _names.replaced():
            before, _thread.by_name = _thread.by_name, self
            try:
                yield
            finally:
                _thread.by_name = before


class _Thread(threading.local):
    """What a thread has open: its seam, and the seam that sees calls by name at the moment."""

    seam: _Seam | None = None
    opened: ExitStack
    by_name: _Seam | None = None


class _Names:
    """The names by which torch's own modules call attention, replaced while any thread needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._patches = ExitStack()

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """Within the block, lead calls by name through the seam of the thread that makes them, if it has one."""
        with self._lock:
            if self._users == 0:
                self._replace()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._patches.close()

    def _replace(self) -> None:
        sdpa = F.scaled_dot_product_attention

        def seen(*args: Any, **kwargs: Any) -> Tensor:
            seam = _thread.by_name
            return sdpa(*args, **kwargs) if seam is None else seam._attention(sdpa, args, kwargs)

        self._patches.enter_context(patch.object(F, "scaled_dot_product_attention", seen))
        for name in (ENCODER_LAYER, MULTIHEAD):
            self._patches.enter_context(patch.object(torch, name, self._whole_layer(name)))

    @staticmethod
    def _whole_layer(name: str) -> Callable[..., Any]:
        func = getattr(torch, name)

        def seen(*args: Any) -> Any:
            seam = _thread.by_name
            return func(*args) if seam is None else seam._whole_layer(name, func, args)

        return seen


_thread = _Thread()
_names = _Names()


@contextmanager
def _popped(mode: TorchFunctionMode) -> Iterator[None]:
    """Take the mode, which stands alone, off the stack for a while."""
    mode.__exit__(None, None, None)
    try:
        yield
    finally:
        mode.__enter__()


def _in_backward() -> bool:
    """Whether the backward pass runs, in which checkpointed modules run a second time."""
    return bool(torch._C._current_graph_task_id() != -1)


@contextmanager
def intercepting(sink: Sink) -> Iterator[None]:
    """Within the block, tell the sink of every attention call of this thread."""
    if _thread.seam is None:
        _thread.seam, _thread.opened = _Seam(), ExitStack()
        _thread.opened.enter_context(_thread.seam.open())
    seam = _thread.seam
    seam.sinks.append(sink)
    try:
        yield
    finally:
        seam.sinks.remove(sink)
        # Whoever leaves last closes up; blocks need not end in the order in which they began.
        if not seam.sinks:
            _thread.seam = None
            _thread.opened.close()
