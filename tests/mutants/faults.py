"""Small faults that can be put into a module.

They are made in comparisons, constants, conditions, enum members, and by leaving things out.

Nothing is changed in annotations, imports, strings and docstrings. The order of faults depends on
the source alone.
"""

import ast
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

SWAPS: Mapping[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.Mult,),
    ast.Pow: (ast.Mult,),
}
UNTOUCHED = {"annotation", "returns", "decorator_list", "type_params", "type_comment"}
REMOVABLE = (ast.Assign, ast.AugAssign, ast.Raise, ast.Continue, ast.Break)

Members = Mapping[str, list[str]]


@dataclass(frozen=True)
class Place:
    """A node: the field of its parent that holds it, and which one there."""

    parent: ast.AST
    field: str
    index: int | None
    node: ast.AST

    def put(self, node: ast.AST) -> None:
        """Put another one there."""
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


@dataclass(frozen=True)
class Fault:
    """One change: where it is, how it reads, the whole changed module."""

    line: int
    before: str
    after: str
    tree: ast.Module

    def __str__(self) -> str:
        return f"{self.line}: {self.before}  →  {self.after}"


def faults(source: str, members: Members) -> Iterator[Fault]:
    """All faults of a module; `members` of its enums by their names."""
    tree = ast.parse(source)
    for number, place in enumerate(places(tree)):
        for which, changed in enumerate(changes(place.node, members)):
            mutant = copy.deepcopy(tree)
            there = list(places(mutant))[number]
            there.put(list(changes(there.node, members))[which])
            ast.fix_missing_locations(mutant)
            line = getattr(place.node, "lineno", 0)
            yield Fault(line, shown(place.node), shown(changed), mutant)


def shown(node: ast.AST) -> str:
    """The first line of its source."""
    return ast.unparse(node).partition("\n")[0][:90]


def places(parent: ast.AST) -> Iterator[Place]:
    """Every node that may be changed, in the order of the source."""
    for field, value in ast.iter_fields(parent):
        if field in UNTOUCHED or isinstance(parent, ast.Import | ast.ImportFrom):
            continue
        for index, node in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(node, ast.AST) and not is_docstring(node):
                yield Place(parent, field, index if isinstance(value, list) else None, node)
                yield from places(node)


def is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def changes(node: ast.AST, members: Members) -> Iterator[ast.AST]:
    """What may stand in its place."""
    match node:
        case ast.Compare(ops=[operator]):
            yield from (with_(node, ops=[swap()]) for swap in SWAPS[type(operator)])
        case ast.BoolOp(op=boolean):
            yield from (with_(node, op=swap()) for swap in SWAPS[type(boolean)])
        case ast.BinOp(op=arithmetic) if type(arithmetic) in SWAPS:
            yield from (with_(node, op=swap()) for swap in SWAPS[type(arithmetic)])
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.Constant(value=bool() as truth):
            yield ast.Constant(not truth)
        case ast.Constant(value=int() | float() as number):
            yield ast.Constant(number + 1)
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) if not isinstance(
            test, ast.UnaryOp
        ):
            yield with_(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.match_case(guard=ast.expr() as guard):
            yield with_(node, guard=ast.UnaryOp(ast.Not(), guard))
        case ast.Attribute(value=ast.Name(id=enum), attr=name) if name in members.get(enum, ()):
            others = members[enum]
            yield with_(node, attr=others[(others.index(name) + 1) % len(others)])
        case ast.Call(func=ast.Name(id="min" | "max" as extreme)):
            yield with_(node, func=ast.Name("max" if extreme == "min" else "min", ast.Load()))
        case ast.Call(func=ast.Name(id="replace"), keywords=[_, _, *_] as keywords):
            yield from (
                with_(node, keywords=[each for each in keywords if each is not left])
                for left in keywords
            )
        case ast.Tuple(elts=[_, *_] as elements) if all(
            isinstance(each, ast.Call | ast.Starred) for each in elements
        ):
            yield from (
                with_(node, elts=[each for each in elements if each is not left])
                for left in elements
            )
        case (
            ast.Expr() | ast.Assign() | ast.AugAssign() | ast.Raise() | ast.Continue() | ast.Break()
        ):
            yield ast.Pass()


def with_(node: ast.AST, **fields: object) -> ast.AST:
    """The node with other fields."""
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
