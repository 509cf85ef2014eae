"""What modules, their classes and the environment hold by name.

It is remembered before an import, put back after it, and given to jobs again.

An import may replace or delete what everybody looks up by name (`json.loads`, `time.time`,
`select.epoll`, a builtin, a method of `http.client`), on purpose or by instrumenting it. The
processes of fleet are to have the original.

Of instances only the two that json works with are looked into. What an import adds to a module is
left alone. Of fleet's own modules only what they have from elsewhere is remembered: an import that
replaces a function of fleet's means it.

docs/decisions/0023 has the reasons.
"""

import json
import os
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

MISSING: Any = object()
_OWN = __name__.partition(".")[0]
_MADE_WHEN_ASKED_FOR = ("__annotations__", "__annotations_cache__", "__signature__")
_USED_BY_JSON = ("_default_encoder", "_default_decoder")
_put_inside: Callable[[Any, str, Any], None] = FunctionType.__setattr__
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: of the others no attribute can be set


@dataclass(frozen=True, slots=True)
class Change:
    """One name, as it was before the import and after. MISSING: it is not there."""

    names: Mapping[str, Any]
    put: Callable[[str, Any], object]
    drop: Callable[[str], object]
    name: str
    ours: Any
    theirs: Any

    def undo(self) -> None:
        """Have it as it was. No builtin is used on this path: it may be what has been replaced."""
        if self.ours is MISSING:
            self.drop(self.name)
        else:
            self.put(self.name, self.ours)

    def redo(self) -> None:
        """Have it as the import has left it; but what fleet has set meanwhile stays.

        Fleet sets names in job/forked_pools.py.
        """
        now = self.names.get(self.name, MISSING)
        if now is not self.ours and not (isinstance(now, str) and now == self.ours):
            return
        if self.theirs is MISSING:
            self.drop(self.name)
        else:
            self.put(self.name, self.theirs)


@dataclass(frozen=True, slots=True)
class _Namespace:
    """Names as they were before the import."""

    names: Mapping[str, Any]
    before: Mapping[str, Any]
    put: Callable[[str, Any], object]
    drop: Callable[[str], object]
    texts: bool = False  # compared as such
    additions: bool = False  # what is new counts: a class's hides what it inherits

    def changes(self) -> Iterator[Change]:
        for name, ours in self.before.items():
            theirs = self.names.get(name, MISSING)
            if theirs is not ours and not (self.texts and theirs == ours):
                yield Change(self.names, self.put, self.drop, name, ours, theirs)
        if self.additions:
            for name, theirs in self.names.items():
                if name not in self.before and name not in _MADE_WHEN_ASKED_FOR:
                    yield Change(self.names, self.put, self.drop, name, MISSING, theirs)


class _Function(NamedTuple):
    """What a function is made of.

    To instrument it, an import may put another code into it, and leave the name alone.
    """

    function: Any
    code: CodeType
    defaults: tuple[Any, ...] | None
    by_name: dict[str, Any] | None

    def changes(self) -> Iterator[Change]:
        function = self.function
        if function.__code__ is not self.code:
            yield self._change("__code__", self.code, function.__code__)
        if function.__defaults__ is not self.defaults:
            yield self._change("__defaults__", self.defaults, function.__defaults__)
        if function.__kwdefaults__ != self.by_name:
            yield self._change("__kwdefaults__", self.by_name, function.__kwdefaults__)

    def _change(self, name: str, ours: Any, theirs: Any) -> Change:
        now = {name: ours}  # as it will be

        def put(what: str, value: Any) -> None:
            _put_inside(self.function, what, value)

        return Change(now, put, lambda _: None, name, ours, theirs)


def _remember_function(function: Any) -> _Function:
    by_name = function.__kwdefaults__
    return _Function(function, function.__code__, function.__defaults__, by_name and {**by_name})


class Namespaces:
    """All names as they are now.

    About 33,000 of them, 30 ms and a MiB: forget the object when it has done its work.
    """

    def __init__(self) -> None:
        modules = {
            id(each): each for each in [*sys.modules.values()] if isinstance(each, ModuleType)
        }
        self._spaces = [_remember_mapping(sys.modules)]
        seen: set[int] = set()
        for module in modules.values():
            self._spaces.append(_remember_module(module))
            for value in [*vars(module).values()]:
                if isinstance(value, type) and id(value) not in seen and _can_be_changed(value):
                    seen.add(id(value))
                    self._spaces.append(_remember_class(value))
        self._spaces += [
            _remember_mapping(vars(vars(json)[name]), additions=True) for name in _USED_BY_JSON
        ]
        self._functions = [_remember_function(each) for each in self._find_functions().values()]
        self._environment = _remember_mapping(os.environ, texts=True, additions=True)

    def _find_functions(self) -> dict[int, FunctionType]:
        """The functions of modules and classes, once each, by identity."""
        values = (value for space in self._spaces for value in space.before.values())
        return {
            id(each): each for each in values if type(each) is FunctionType and not _is_own(each)
        }

    def put_back(self) -> list[Change]:
        """Have everything as it was; returns what was not.

        The environment comes last: it is under a name, too.
        """
        changes: list[Change] = []
        # Functions first: what follows may use them.
        spaces: list[_Function | _Namespace] = [
            *self._functions,
            *self._spaces,
        ]
        for space in spaces:
            for change in [*space.changes()]:
                change.undo()
                changes += (change,)
        environment = [*self._environment.changes()]
        for change in environment:
            change.undo()
        time.tzset()
        return changes + environment


def redo(changes: list[Change]) -> None:
    """In a job: have everything as the import has left it."""
    for change in changes:
        change.redo()
        if change.name == "TZ":
            time.tzset()


def _remember_mapping(
    names: MutableMapping[str, Any], *, texts: bool = False, additions: bool = False
) -> _Namespace:
    return _Namespace(names, dict(names), names.__setitem__, names.__delitem__, texts, additions)


def _remember_module(module: ModuleType) -> _Namespace:
    names = vars(module)
    own = module.__name__.partition(".")[0] == _OWN
    before = {name: value for name, value in names.items() if not own or _is_from_elsewhere(value)}
    return _Namespace(names, before, names.__setitem__, names.__delitem__)


def _remember_class(cls: type) -> _Namespace:
    """A class's names, changed past whatever its metaclass thinks of changes."""
    return _Namespace(
        vars(cls),
        dict(vars(cls)),
        lambda name, value: type.__setattr__(cls, name, value),
        lambda name: type.__delattr__(cls, name),
        additions=True,
    )


def _can_be_changed(cls: type) -> bool:
    if cls is weakref.finalize:  # its registry; fleet begins a new one for jobs (job/end.py)
        return False
    # An extension's class may have anything for a module, a descriptor for its objects among them.
    return bool(cls.__flags__ & _HEAP_TYPE) and str(cls.__module__).partition(".")[0] != _OWN


def _is_own(function: FunctionType) -> bool:
    return str(function.__module__).partition(".")[0] == _OWN


def _is_from_elsewhere(value: object) -> bool:
    """A module, a class or a function that was imported."""
    where = getattr(value, "__module__", None) or getattr(value, "__name__", None)
    return isinstance(where, str) and where.partition(".")[0] != _OWN
