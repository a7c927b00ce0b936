"""What the nodes of an ONNX graph must keep to, lest a runtime crash, hang or fill the memory on opening it.

``onnxfile`` reads the names and numbers, here they are judged. Each rule is there because a runtime did not
survive the lack of it. None is about what a graph computes, and a graph can be made to grow in more ways
than a walk could find (see ``GraphRules.check``).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from crossiqa_edge.runtime.operators import ALLOWED, VARIADIC

MAX_NODES = 20_000  # our largest graph has under a thousand
MAX_EXPANDED = 1 << 24  # elements that one constant may ask Expand for; ours ask for the width of a token
MAX_RANK = 32  # an array of more numbers is no shape


class RefusedError(Exception):
    """The bytes are sound, but ask for something that no model of ours needs."""


class GraphRules:
    """Is told of everything in a file, the nodes of each graph from the last to the first; then ``check``."""

    def __init__(self) -> None:
        self.operators: set[tuple[str, str]] = set()
        self._nodes = self._functions = self._calls = 0
        self._later: dict[int, set[str]] = defaultdict(set)  # graph -> what its nodes met so far make
        self._elements: dict[str, int] = {}  # constant -> elements of the shape that its numbers would make
        self._joined: dict[str, Sequence[str]] = {}  # what a Concat makes -> of what
        self._expanded: list[str] = []  # the shapes that Expand is given

    def node(
        self, graph: int, operator: tuple[str, str], inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        """A node of the graph or function known as ``graph``; an input without a name is not given.

        Raises:
            RefusedError: one node too many, without an input that it needs, or not in order.
        """
        domain, name = operator
        self.operators.add(operator)
        self._nodes += 1
        self._calls += domain == "crossiqa"
        if self._nodes > MAX_NODES:
            raise RefusedError(f"more than {MAX_NODES} nodes; this is not one of our models")
        shown = repr(name[:60])
        least = ALLOWED[domain].get(name, 0)
        if domain == "" and name in VARIADIC:
            least = max(least, len(inputs))
        given = sum(map(bool, inputs[:least]))
        if given < least:
            raise RefusedError(f"a node {shown} with {given} of the {least} inputs that it needs")
        if inputs and not inputs[-1]:  # onnxruntime's LayerNormalization reads it all the same
            raise RefusedError(f"a node {shown} whose last input has no name; leave that input out")
        later = self._later[graph]
        later.update(filter(None, outputs))
        if not later.isdisjoint(inputs):  # OpenVINO goes round a circle for ever
            raise RefusedError(f"a node {shown} reads what is made after it; put the nodes in order")
        if operator == ("", "Expand"):
            self._expanded.append(inputs[1])
        elif operator == ("", "Concat"):
            self._joined.update(dict.fromkeys(outputs, inputs))

    def function(self, domain: str) -> None:
        """A function in ``domain``.

        Raises:
            RefusedError: it would take the place of an operator that runtimes have.
        """
        self._functions += 1
        if domain != "crossiqa":
            raise RefusedError(f"a function in the operator domain {domain!r}; only 'crossiqa' may have one")

    def constant(self, name: str, numbers: Sequence[int]) -> None:
        """An array that lies in the file; ``numbers`` are its elements if it may be a shape."""
        if len(numbers) <= MAX_RANK:
            elements = math.prod(number for number in numbers if number > 0)
            self._elements[name] = max(elements, self._elements.get(name, 1))

    def check(self) -> None:
        """What can be said only when all was seen.

        Of memory only what a constant asks of Expand is bounded, given to it as it is or joined to other
        sizes by Concat. A chain of nodes that each double what the one before made is not seen.

        Raises:
            RefusedError: an operator that is not allowed, or one that asks for too much.
        """
        for domain, name in sorted(self.operators):
            if name not in ALLOWED[domain]:
                shown = f"{domain}::{name}" if domain else name
                raise RefusedError(f"the operator {shown[:60]!r} is none that a model of ours has")
        # Runtimes put a function's nodes in the place of each call, and again where functions call functions.
        if self._functions > 1 or self._functions * self._calls * self._nodes > MAX_NODES:
            raise RefusedError(
                f"functions that may come to more than {MAX_NODES} nodes; no model of ours has"
            )
        seen: set[str] = set()
        while self._expanded:
            name = self._expanded.pop()
            if self._elements.get(name, 1) > MAX_EXPANDED:
                raise RefusedError(
                    f"an Expand to more than {MAX_EXPANDED} elements; no model of ours has one"
                )
            if name not in seen:
                self._expanded.extend(self._joined.get(name, ()))
            seen.add(name)
