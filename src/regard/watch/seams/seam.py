"""One thread's seam: whatever way a model calls attention, here the call is changed, run and told to who watches.

A function mode sees torch's functions however a model came by them. Its mere presence would turn off the fast path
of torch's own attention modules, and so change the output; while one of those is at work the mode steps aside, and
their calls are seen through the names by which torch itself calls them. Modules are followed by global hooks, so
that no module of the model is touched.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import get_ident
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils._python_dispatch import _disable_current_modes

from regard.attend import Compute, is_running, leading
from regard.engines.contract import Computed, Problem
from regard.errors import RegardError
from regard.watch.calls import Arguments, Call, unreadable
from regard.watch.seams.attend_call import AttendCall
from regard.watch.seams.fast_path import fast_path_call
from regard.watch.seams.follower import Follower
from regard.watch.seams.functions import Function, FunctionCall
from regard.watch.seams.hugging_face import InterfaceCall, family
from regard.watch.seams.leads import library_names, thread, torch_names
from regard.watch.seams.live import Edit, Live, edited, finished
from regard.watch.seams.torch_call import TorchCall

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


class Changer(Protocol):
    """What changes calls; modules at work are given outermost first."""

    def edits(self, modules: tuple[nn.Module, ...], call: Live, hindrance: str | None) -> Sequence[Edit]:
        """Return what is to be changed in a call, in this order.

        Args:
            modules: the modules at work.
            call: the call.
            hindrance: why its tensors hold no numbers to work with, if so.
        """
        ...


class _Seam(TorchFunctionMode):
    """One thread's seam, shared by all who watch or change in it."""

    def __init__(self) -> None:
        super().__init__()
        self.users = 0
        self.sinks: list[Sink] = []
        self.changers: list[Changer] = []
        self._modules: list[nn.Module] = []
        self._aside: ExitStack | None = None
        self._again: ExitStack | None = None
        self._thread = get_ident()
        self._follower = Follower()
        self._meant: Tensor | None = None
        self._inside = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Install the mode, the hooks and the names; take them away at the end, whatever happens."""
        with ExitStack() as stack:
            for handle in (
                hooks.register_module_forward_pre_hook(self._enter_module),
                hooks.register_module_forward_hook(self._leave_module, always_call=True),
            ):
                stack.callback(handle.remove)
            stack.enter_context(leading(self._attended))
            stack.enter_context(library_names.replaced())
            stack.enter_context(self)
            # An interrupt can pass by the hooks that would end this.
            stack.callback(self._come_back)
            stack.callback(self._follower.forget)
            stack.callback(self._end_again)
            yield

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run every function as it is; look at attention."""
        kwargs = kwargs or {}
        if torch.compiler.is_compiling():
            return func(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            return self.attention(func, args, kwargs)
        if func is F.multi_head_attention_forward:
            with self._by_name():
                return func(*args, **kwargs)
        return self.function(func, args, kwargs)

    def attention(self, func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """Run torch's attention function."""
        if self._looks_away():
            return func(*args, **kwargs)
        output: Tensor = self.live(TorchCall(func, Arguments.bound(args, kwargs), self._meant))
        return output

    def function(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function of torch that may be part of attention written out."""
        if not self._follower.concerns(func) or self._looks_away():
            return func(*args, **kwargs)
        module = self._modules[-1] if self._modules else None
        with torch._C.DisableTorchFunction():
            call = self._follower.call(func, args, kwargs, module)
        if call is not None:
            return self.live(call)
        self._follower.before(func, args, kwargs)
        result = func(*args, **kwargs)
        with torch._C.DisableTorchFunction(), torch.no_grad():
            self._follower.follow(func, args, kwargs, result, tuple(self._modules))
        return result

    def tell_of_open_ends(self, sink: Sink) -> None:
        """Tell a sink of each softmax over several axes that was not followed to values."""
        for modules in self._follower.open_ends():
            sink.missed(
                modules, "a softmax over three axes or more ran, and was not followed to a product with values"
            )

    def interface(
        self, implementation: str, func: Callable[..., Any], module: nn.Module, *args: Any, **kw: Any
    ) -> Any:
        """Run an implementation of Hugging Face's attention interface."""
        if self._looks_away():
            return func(module, *args, **kw)
        if family(implementation) in ("flash", "flex"):
            query, key, value, mask = (*args, kw.pop("attention_mask", None))[:4]
            return self.live(InterfaceCall(implementation, func, module, query, key, value, mask, kw))
        before, self._meant = self._meant, args[0] if args else kw.get("query")
        try:
            return func(module, *args, **kw)
        finally:
            self._meant = before

    def library(
        self, kind: Function, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run an attention function of another library."""
        return func(*args, **kwargs) if self._looks_away() else self.live(FunctionCall.of(kind, func, args, kwargs))

    def live(self, live: Live) -> Any:
        """Run a call with the edits that it gets, and tell the sinks of it."""
        modules = tuple(self._modules)
        edits = self._edits(modules, live)
        before, self._inside = self._inside, True
        try:
            with ExitStack() as stack:
                if _get_current_function_mode_stack() == [self]:
                    stack.enter_context(_popped(self))
                if edits:
                    live = edited(live, edits)
                result = finished(live, live.run(), edits)
        finally:
            self._inside = before
        self._tell(modules, live.tensors, lambda: live.seen(result))
        return result

    def whole_layer(self, name: str, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Run one of torch's whole-layer operators and tell the sinks of the attention inside."""
        results = func(*args)
        # The operator of a layer passes over the module that would have made the call.
        layer = self._modules[-1] if self._modules else None
        inner = (layer.self_attn,) if isinstance(layer, nn.TransformerEncoderLayer) else ()
        self._tell((*self._modules, *inner), args[:1], lambda: fast_path_call(name, args))
        return results

    def _attended(self, problem: Problem, compute: Compute) -> tuple[Computed, str]:
        """Run a call of `regard.attend`."""
        if self._looks_away():
            return compute(problem)
        result: tuple[Computed, str] = self.live(AttendCall(problem, compute))
        return result

    def _looks_away(self) -> bool:
        """Whether what runs now is no call of its own: inside another call, a backward pass, or another thread.

        Checkpointed modules run once more in the backward pass, and must be changed as they were the first time.
        """
        again = bool(self.changers and self._modules)
        return self._inside or is_running() or (_in_backward() and not again) or get_ident() != self._thread

    def _edits(self, modules: tuple[nn.Module, ...], live: Live) -> list[Edit]:
        if not self.changers:
            return []
        with ExitStack() as stack:
            _undisturbed(stack)
            hindrance = unreadable(live.tensors)
            return [edit for changer in self.changers for edit in changer.edits(modules, live, hindrance)]

    def _tell(self, modules: tuple[nn.Module, ...], tensors: Sequence[Tensor], make: Callable[[], Call]) -> None:
        """Hand a call to the sinks, with every mode, autocast and gradient recording off meanwhile."""
        if not self.sinks or _in_backward():
            return
        call = None
        with ExitStack() as stack:
            _undisturbed(stack)
            if (reason := unreadable(tensors)) is None:
                try:
                    call = make()
                except RegardError as error:
                    reason = f"it is none that regard can express: {error}"
            if call is None:
                for sink in self.sinks:
                    sink.missed(modules, f"a call came by, but {reason}")
                return
            stack.enter_context(torch.autocast(tensors[0].device.type, enabled=False))
            for sink in self.sinks:
                sink.call(modules, call)

    def _enter_module(self, module: nn.Module, inputs: Any) -> None:
        if torch.compiler.is_compiling() or get_ident() != self._thread:
            return
        self._modules.append(module)
        for sink in self.sinks:
            sink.entered(module)
        if self.changers and _in_backward() and self not in _get_current_function_mode_stack():
            # The backward pass was itself called through the mode, which is off meanwhile.
            self._again = ExitStack()
            self._again.enter_context(self)
        # A changed call must not take the fast path, so there the mode stays.
        if not isinstance(module, _OWN_ATTENTION) or self._aside is not None or self.changers:
            return
        if _get_current_function_mode_stack() == [self]:
            self._aside = ExitStack()
            self._aside.enter_context(_popped(self))
            self._aside.enter_context(self._by_name())

    def _leave_module(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if torch.compiler.is_compiling() or get_ident() != self._thread or module not in self._modules:
            return
        while self._modules.pop() is not module:
            pass
        if not any(isinstance(outer, _OWN_ATTENTION) for outer in self._modules):
            self._come_back()
        if not self._modules:
            self._end_again()

    def _end_again(self) -> None:
        """Be off again, after a module that ran once more in the backward pass."""
        if self._again is not None:
            self._again.close()
            self._again = None

    def _come_back(self) -> None:
        """Be the mode again, after having stepped aside."""
        if self._aside is not None:
            self._aside.close()
            self._aside = None

    @contextmanager
    def _by_name(self) -> Iterator[None]:
        """See calls through the names by which torch's own modules call attention."""
        with torch_names.replaced():
            before, thread.by_name = thread.by_name, self
            try:
                yield
            finally:
                thread.by_name = before


@contextmanager
def _popped(mode: TorchFunctionMode) -> Iterator[None]:
    """Take the mode, which stands alone, off the stack for a while."""
    mode.__exit__(None, None, None)
    try:
        yield
    finally:
        mode.__enter__()


def _undisturbed(stack: ExitStack) -> None:
    """Turn every mode and gradient recording off."""
    stack.enter_context(torch._C.DisableTorchFunction())
    stack.enter_context(_disable_current_modes())
    # The order matters: leaving inference mode turns gradients on.
    stack.enter_context(torch.inference_mode(False))
    stack.enter_context(torch.no_grad())


def _in_backward() -> bool:
    """Whether the backward pass runs, in which checkpointed modules run a second time."""
    return bool(torch._C._current_graph_task_id() != -1)


@contextmanager
def intercepting(sink: Sink) -> Iterator[None]:
    """Within the block, tell the sink of every attention call of this thread."""
    with _opened() as seam, _member(seam.sinks, sink):
        yield
        seam.tell_of_open_ends(sink)


@contextmanager
def editing(changer: Changer) -> Iterator[None]:
    """Within the block, let the changer change every attention call of this thread."""
    with _opened() as seam, _member(seam.changers, changer):
        yield


@contextmanager
def _member(members: list[Any], member: Any) -> Iterator[None]:
    members.append(member)
    try:
        yield
    finally:
        members.remove(member)


@contextmanager
def _opened() -> Iterator[_Seam]:
    """Share the thread's seam; whoever leaves last closes it, and blocks need not end in the order they began."""
    if thread.seam is None:
        with ExitStack() as stack:  # a seam that an error or interrupt kept from opening is nobody's
            new = _Seam()
            stack.enter_context(new.open())
            thread.seam, thread.opened = new, stack.pop_all()
    seam = cast("_Seam", thread.seam)
    seam.users += 1
    try:
        yield seam
    finally:
        seam.users -= 1
        if not seam.users:
            thread.seam = None
            thread.opened.close()
