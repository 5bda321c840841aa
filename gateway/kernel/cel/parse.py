"""The words of an expression into its nodes (CEL specification, Syntax).

Rule: a condition is at most 16 KiB long and nests at most 32 levels deep, so that nothing later has to count.
"""

from collections.abc import Callable

from gateway.kernel.cel.syntax import Call, Index, ListOf, Literal, MapOf, Name, Node, Operation, Select, Span
from gateway.kernel.cel.tokens import Token, invalid, tokens
from gateway.kernel.cel.values import INT_MAX

_LONGEST = 16 * 1024  # characters
_DEEPEST = 32  # levels
_RELATIONS = frozenset(("==", "!=", "<", "<=", ">", ">=", "in"))
_CONSTANTS: dict[str, object] = {"true": True, "false": False, "null": None}
_RESERVED = frozenset(("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop"))
_RESERVED |= {"package", "namespace", "return", "var", "void", "while"}


def parse(text: str) -> Node:
    """Raises CelInvalid."""
    if len(text) > _LONGEST:
        invalid(text, 0, f"longer than {_LONGEST} characters")
    parser = _Parser(text)
    node = parser.expression()
    parser.expect("end", "the expression ends before this")
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._at = 0
        self._depth = 0

    @property
    def _here(self) -> Token:
        return self._tokens[self._at]

    def _is(self, kind: str) -> bool:
        return self._here.kind == kind or (kind == "in" and self._here.kind == "name" and self._here.text == "in")

    def _take(self) -> Token:
        token = self._here
        self._at += 1
        return token

    def expect(self, kind: str, message: str) -> Token:
        """The next word, which must be of this kind."""
        if not self._is(kind):
            invalid(self._text, self._here.start, message)
        return self._take()

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            invalid(self._text, self._here.start, f"nested more than {_DEEPEST} levels deep")

    def _span(self, first: Node | Token, at: int | None = None) -> Span:
        start = first.start if isinstance(first, Token) else first.span.start
        return Span(start, self._tokens[self._at - 1].end, start if at is None else at)

    def expression(self) -> Node:
        """`a ? b : c`, or what binds closer."""
        self._deeper()
        node = self._chain("||")
        if self._is("?"):
            at = self._take().start
            then = self._chain("||")
            self.expect(":", "a ':' is wanted: CONDITION ? A : B")
            otherwise = self.expression()
            node = Operation(self._span(node, at), "?:", (node, then, otherwise))
        self._depth -= 1
        return node

    def _chain(self, operator: str) -> Node:
        first = self._chain("&&") if operator == "||" else self._relation()
        operands, at = [first], self._here.start
        while self._is(operator):
            self._take()
            operands.append(self._chain("&&") if operator == "||" else self._relation())
        return first if len(operands) == 1 else Operation(self._span(first, at), operator, tuple(operands))

    def _relation(self) -> Node:
        return self._left(self._sum, _RELATIONS)

    def _sum(self) -> Node:
        return self._left(self._product, frozenset("+-"))

    def _product(self) -> Node:
        return self._left(self._unary, frozenset("*/%"))

    def _left(self, closer: Callable[[], Node], operators: frozenset[str]) -> Node:
        """Operators of one rank, taken from the left; each is one level deeper, for it is compiled so."""
        before = self._depth
        node = closer()
        while (operator := self._operator()) in operators:
            self._deeper()
            at = self._take().start
            right = closer()
            node = Operation(self._span(node, at), operator, (node, right))
        self._depth = before
        return node

    def _operator(self) -> str:
        return "in" if self._is("in") else self._here.kind

    def _unary(self) -> Node:
        sign = self._here
        if sign.kind not in ("!", "-"):
            return self._member()
        self._take()
        following = self._here
        if sign.kind == "-" and following.kind == "literal" and type(following.value) in (int, float):
            self._take()
            number = -following.value  # type: ignore[operator]  # of a type that was just looked at
            return self._members(Literal(self._span(sign), number))
        self._deeper()
        operand = self._unary()
        self._depth -= 1
        return Operation(self._span(sign), sign.kind, (operand,))

    def _member(self) -> Node:
        return self._members(self._primary())

    def _members(self, node: Node) -> Node:
        """Everything that hangs behind a value: `.name`, `.name(…)`, `[key]`."""
        before = self._depth
        while self._here.kind in (".", "["):
            self._deeper()
            if self._take().kind == "[":
                at = self._here.start
                key = self.expression()
                self.expect("]", "a ']' is wanted")
                node = Index(self._span(node, at), node, key)
                continue
            name = self.expect("name", "a name is wanted behind the '.'")
            if self._is("("):
                arguments = self._arguments()
                node = Call(self._span(node, name.start), name.text, node, arguments)
            else:
                node = Select(self._span(node, name.start), node, name.text)
        self._depth = before
        return node

    def _arguments(self) -> tuple[Node, ...]:
        self._take()
        found = self._items(")")
        self.expect(")", "a ')' is wanted")
        return found

    def _items(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._is(closing):
            items.append(self.expression())
            if not self._is(","):
                break
            self._take()
        return tuple(items)

    def _primary(self) -> Node:
        token = self._take()
        if token.kind == "literal":
            if type(token.value) is int and token.value > INT_MAX:
                invalid(self._text, token.start, "the number has more than 64 bits")
            return Literal(self._span(token), token.value)
        if token.kind == "name":
            return self._named(token)
        if token.kind == "(":
            node = self.expression()
            self.expect(")", "a ')' is wanted")
            return node
        if token.kind == "[":
            items = self._items("]")
            self.expect("]", "a ']' is wanted")
            return ListOf(self._span(token), items)
        if token.kind == "{":
            return self._map(token)
        return invalid(self._text, token.start, "a value is wanted")

    def _named(self, token: Token) -> Node:
        if token.text in _CONSTANTS:
            return Literal(self._span(token), _CONSTANTS[token.text])
        if token.text in _RESERVED or token.text == "in":
            invalid(self._text, token.start, f"{token.text!r} is a reserved word")
        if self._is("("):
            arguments = self._arguments()
            return Call(self._span(token), token.text, None, arguments)
        return Name(self._span(token), token.text)

    def _map(self, opening: Token) -> Node:
        keys: list[str] = []
        items: list[Node] = []
        while not self._is("}"):
            key = self.expect("literal", "a key is a string that stands here")
            if not isinstance(key.value, str):
                invalid(self._text, key.start, "a key is a string that stands here")
            if key.value in keys:
                invalid(self._text, key.start, "this key stands twice")
            keys.append(key.value)
            self.expect(":", "a ':' is wanted: {KEY: VALUE}")
            items.append(self.expression())
            if not self._is(","):
                break
            self._take()
        self.expect("}", "a '}' is wanted")
        return MapOf(self._span(opening), tuple(items), tuple(keys))
