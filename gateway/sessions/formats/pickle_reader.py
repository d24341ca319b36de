"""A reader of Python pickles that executes no code.

A pickle is a program: the standard reader imports and calls what it names. This
one knows only the opcodes that make plain values. Whatever would be imported or
called becomes OPAQUE, one mark that stands for "some object" and is never looked
into. Its work and its memory are bounded by the length of what it reads: no
opcode copies, allocates ahead, or takes an index to allocate up to.

The result may share parts with itself (214 bytes can stand for 2^23 leaves), so
it is to be asked for single places and never to be walked.
"""

import pickletools
from collections.abc import Callable
from typing import Any, Final


class _Opaque:
    """Stands for every object that is not a plain value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "OPAQUE"


OPAQUE: Final = _Opaque()


class BadPickle(ValueError):  # noqa: N818 - codecs.py makes it Unreadable
    """The bytes are not a pickle of plain values."""


def read_pickle(raw: bytes) -> object:
    """Read one pickle of protocol 2 to 5.

    Raises:
        BadPickle: for anything else, such as an opcode that is not known here.
    """
    machine = _Machine()
    end = -1
    try:
        for opcode, arg, position in pickletools.genops(raw):
            if opcode.name == "STOP":
                end = position or 0
                break
            machine.run(opcode.name, arg)
    except BadPickle:
        raise
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise BadPickle("a broken pickle") from error
    if end != len(raw) - 1:
        raise BadPickle("a pickle with something behind it")
    return machine.result()


class _Mark:
    __slots__ = ()


_MARK: Final = _Mark()


class _Machine:
    """The stack and the memo; `run` does one opcode."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, name: str, arg: Any) -> None:
        if name in _IGNORED:
            return
        if name in _PUSH_ARG:
            self._stack.append(arg)
        elif name in _PUSH_CONSTANT:
            self._stack.append(_PUSH_CONSTANT[name])
        elif (step := _STEPS.get(name)) is not None:
            step(self, arg)
        else:
            raise BadPickle(f"a pickle with the opcode {name}")

    def result(self) -> object:
        if len(self._stack) != 1 or self._stack[0] is _MARK:
            raise BadPickle("a pickle that leaves more or less than one value")
        return self._stack[0]

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise BadPickle("a pickle that takes what is not there")
        return value

    def pop_to_mark(self) -> list[Any]:
        stack = self._stack
        at = len(stack) - 1
        while stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise BadPickle("a pickle without a mark")
        values = stack[at + 1 :]
        del stack[at:]
        return values

    def top(self) -> Any:
        value = self._stack[-1]
        if value is _MARK:
            raise BadPickle("a pickle that takes what is not there")
        return value

    def mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def empty_list(self, _: Any) -> None:
        self._stack.append([])

    def some_tuple(self, size: int) -> None:
        values = [self.pop() for _ in range(size)]
        self._stack.append(tuple(reversed(values)))

    def tuple_to_mark(self, _: Any) -> None:
        self._stack.append(tuple(self.pop_to_mark()))

    def list_to_mark(self, _: Any) -> None:
        self._stack.append(self.pop_to_mark())

    def dict_to_mark(self, _: Any) -> None:
        values = self.pop_to_mark()
        made: dict[str | int, Any] = {}
        _set(made, values)
        self._stack.append(made)

    def append(self, _: Any) -> None:
        value = self.pop()
        _extend(self.top(), [value])

    def extend(self, _: Any) -> None:
        values = self.pop_to_mark()
        _extend(self.top(), values)

    def set_item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        _set(self.top(), [key, value])

    def set_items(self, _: Any) -> None:
        values = self.pop_to_mark()
        _set(self.top(), values)

    def memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self.top()

    def put(self, index: int) -> None:
        self._memo[index] = self.top()

    def get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def opaque(self, takes: int) -> None:
        for _ in range(takes):
            self.pop()
        self._stack.append(OPAQUE)


def _extend(target: object, values: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(values)
    elif target is not OPAQUE:
        raise BadPickle("a pickle that appends to something other than a list")


def _set(target: object, values: list[Any]) -> None:
    if len(values) % 2:
        raise BadPickle("a pickle with a key without a value")
    for key in values[::2]:
        # No other type: `True` would be the key 1, and a tuple may hold anything.
        if type(key) is not str and type(key) is not int and target is not OPAQUE:
            raise BadPickle(
                "a pickle with a key that is neither text nor a whole number"
            )
    if isinstance(target, dict):
        target.update(zip(values[::2], values[1::2], strict=True))
    elif target is not OPAQUE:
        raise BadPickle("a pickle that sets a key of something other than a mapping")


def _fixed(step: Callable[[_Machine, Any], None], arg: int) -> Callable[..., None]:
    return lambda machine, _: step(machine, arg)


# The opcodes that are known, in four tables; whatever is in none is refused, above
# all EXT1-4 and PERSID, which ask a registry or the application.
_IGNORED: Final = frozenset(("PROTO", "FRAME"))
_PUSH_ARG: Final = frozenset(
    (
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "BINFLOAT",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
        "SHORT_BINBYTES",
        "BINBYTES",
        "BINBYTES8",
        "SHORT_BINSTRING",
        "BINSTRING",
    )
)
_PUSH_CONSTANT: Final = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "GLOBAL": OPAQUE,
    "BYTEARRAY8": OPAQUE,
}
_STEPS: Final[dict[str, Callable[[_Machine, Any], None]]] = {
    "MARK": _Machine.mark,
    "EMPTY_DICT": _Machine.empty_dict,
    "EMPTY_LIST": _Machine.empty_list,
    # A set is read as the list of its members: order and doubles mean nothing.
    "EMPTY_SET": _Machine.empty_list,
    "EMPTY_TUPLE": _fixed(_Machine.some_tuple, 0),
    "TUPLE1": _fixed(_Machine.some_tuple, 1),
    "TUPLE2": _fixed(_Machine.some_tuple, 2),
    "TUPLE3": _fixed(_Machine.some_tuple, 3),
    "TUPLE": _Machine.tuple_to_mark,
    "LIST": _Machine.list_to_mark,
    "DICT": _Machine.dict_to_mark,
    "FROZENSET": _Machine.list_to_mark,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.extend,
    "ADDITEMS": _Machine.extend,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "MEMOIZE": _Machine.memoize,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "STACK_GLOBAL": _fixed(_Machine.opaque, 2),
    "REDUCE": _fixed(_Machine.opaque, 2),
    "NEWOBJ": _fixed(_Machine.opaque, 2),
    "NEWOBJ_EX": _fixed(_Machine.opaque, 3),
    "BUILD": _fixed(_Machine.opaque, 2),
}
