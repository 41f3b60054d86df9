"""From an architecture to the operations that a chip has to run for one inference."""

from __future__ import annotations

from collections.abc import Iterable

from nasrec.arch import DSI_ROWS, EMBEDDING_DIM, Arch, BlockChoice, Precision
from nasrec.data.features import Features
from nasrec.liveness import LiveBlock, all_blocks, live_blocks
from nasrec.space import dot_rows
from pimsim import Elementwise, Gather, MatMul, MatVec, Workload

ATTENTION_HEADS = 8  # of NASRec's attention operator
EMBEDDING_BITS = 8  # bits of a stored embedding element: what scoring on a chip rounds the tables to
FLOAT_BITS = 16  # an operator left in float (32 bits) is costed as ISAAC's 16-bit fixed point

Names = tuple[str, ...]


def workload_of(arch: Arch, features: Features, name: str = "nasrec", *, dead: bool = False) -> Workload:
    """The operations of one inference of `arch` on inputs of `features`; dead blocks and branches only with `dead`.

    Every layer with stored weights is a `MatVec` under the name that the model gives the layer; products of two
    activations are `MatMul`; each embedding table is a `Gather` of 8-bit rows. Inputs travel as unsigned codes with a
    zero point that is corrected digitally, so no `MatVec` has signed inputs.
    """
    return _Walk(features).run(arch, name, all_blocks(arch) if dead else live_blocks(arch))


class _Walk:
    """Visits live operators in execution order; keeps, per source, its size and the operations that produce it."""

    def __init__(self, features: Features) -> None:
        self.ops: list[MatVec | MatMul | Gather | Elementwise] = []
        self.features = features
        self.tables: set[str] = set()
        self.dense: dict[int, tuple[int, Names]] = {0: (features.dense, ())}
        self.sparse: dict[int, tuple[int, Names]] = {}

    def run(self, arch: Arch, name: str, live: tuple[LiveBlock, ...]) -> Workload:
        gathers = [
            Gather(f"tables.{table.name}", table.rows, EMBEDDING_DIM, 1, table.lookups, EMBEDDING_BITS)
            for table in self.features.tables
        ]
        self.sparse[0] = (len(gathers), tuple(op.name for op in gathers))
        self.tables = {op.name for op in gathers}
        self.ops += gathers
        for index, (block, state) in enumerate(zip(arch.blocks, live, strict=True)):
            self._block(index, block, state)
        last = len(arch.blocks)
        (width, dense_names), (rows, sparse_names) = self.dense[last], self.sparse[last]
        self._matvec("head", width + rows * EMBEDDING_DIM, 1, arch.head, dense_names + sparse_names)
        used = {source for op in self.ops for source in op.after}
        kept = [op for op in self.ops if not isinstance(op, Gather) or op.name in used]
        return Workload(name, tuple(kept))

    def _block(self, index: int, block: BlockChoice, live: LiveBlock) -> None:
        prefix = f"blocks.{index}"
        dense: tuple[int, Names] = (block.dense_width, ())
        sparse: tuple[int, Names] = (block.sparse_width, ())
        if live.dense:
            dense = (block.dense_width, self._dense(prefix, block))
        if live.sparse:
            sparse = (block.sparse_width, self._sparse(prefix, block))
        dense_out, sparse_out = dense, sparse
        if live.dsi:
            names = dense[1]
            if block.dense_width != DSI_ROWS * EMBEDDING_DIM:
                names = self._matvec(
                    f"{prefix}.dsi.linear", block.dense_width, DSI_ROWS * EMBEDDING_DIM, block.dsi_precision, names
                )
            sparse_out = (block.sparse_width + DSI_ROWS, sparse[1] + names)
        if live.fm:
            names = self._elementwise(f"{prefix}.fm.square", "square", EMBEDDING_DIM, sparse[1], block.sparse_width)
            if block.dense_width != EMBEDDING_DIM:
                names = self._matvec(f"{prefix}.fm.linear", EMBEDDING_DIM, block.dense_width, block.fm_precision, names)
            names = self._elementwise(f"{prefix}.fm.add", "add", block.dense_width, dense[1] + names, 2)
            dense_out = (block.dense_width, names)
        self.dense[index + 1], self.sparse[index + 1] = dense_out, sparse_out

    def _dense(self, prefix: str, block: BlockChoice) -> Names:
        run = {
            "fc": self._fc,
            "dot": self._dot,
            "gating": self._gating,
            "sum": self._sum,
            "deep": self._deep,
            "bilinear": self._bilinear,
        }
        outputs = [run[op](f"{prefix}.{op}", block) for op in block.dense_ops]
        return self._added(f"{prefix}.dense.add", block.dense_width, outputs)

    def _sparse(self, prefix: str, block: BlockChoice) -> Names:
        run = {"efc": self._efc, "attention": self._attention, "skip": self._skip}
        outputs = [run[op](f"{prefix}.{op}", block) for op in block.sparse_ops]
        return self._added(f"{prefix}.sparse.add", block.sparse_width * EMBEDDING_DIM, outputs)

    def _added(self, name: str, count: int, outputs: list[Names]) -> Names:
        if len(outputs) == 1:
            return outputs[0]
        return self._elementwise(name, "add", count, _joined(outputs), len(outputs))

    def _fc(self, prefix: str, block: BlockChoice) -> Names:
        inputs, after = self._concatenated(self.dense, block.dense_inputs)
        names = self._matvec(f"{prefix}.linear", inputs, block.dense_width, block.dense_precision, after)
        return self._elementwise(f"{prefix}.relu", "relu", block.dense_width, names)

    def _dot(self, prefix: str, block: BlockChoice) -> Names:
        inputs, dense = self._concatenated(self.dense, block.dense_inputs)
        rows, sparse = self._concatenated(self.sparse, block.sparse_inputs)
        kept, precision = dot_rows(block.dense_width), block.dense_precision
        if inputs != EMBEDDING_DIM:
            dense = self._matvec(f"{prefix}.dense_projection", inputs, EMBEDDING_DIM, precision, dense)
        if rows != kept:
            sparse = self._matvec(f"{prefix}.sparse_projection", rows, kept, precision, sparse, EMBEDDING_DIM)
        pairs = kept * (kept + 1) // 2
        names = self._matmul(f"{prefix}.pairs", kept + 1, EMBEDDING_DIM, kept + 1, 1, True, dense + sparse)
        if pairs != block.dense_width:
            names = self._matvec(f"{prefix}.output", pairs, block.dense_width, precision, names)
        return names

    def _gating(self, prefix: str, block: BlockChoice) -> Names:
        width, left, right = self._pair(block)
        names = self._matvec(f"{prefix}.left", width, width, block.dense_precision, left)
        names = self._elementwise(f"{prefix}.sigmoid", "sigmoid", width, names)
        names = self._elementwise(f"{prefix}.multiply", "multiply", width, names + right, 2)
        if width != block.dense_width:
            names = self._matvec(f"{prefix}.output", width, block.dense_width, block.dense_precision, names)
        return names

    def _sum(self, prefix: str, block: BlockChoice) -> Names:
        width, left, right = self._pair(block)
        names = self._elementwise(f"{prefix}.add", "add", width, _joined([left, right]), 2)
        if width != block.dense_width:
            names = self._matvec(f"{prefix}.output", width, block.dense_width, block.dense_precision, names)
        return names

    def _deep(self, prefix: str, block: BlockChoice) -> Names:
        inputs, after = self._flat(block)
        names = self._matvec(f"{prefix}.linear", inputs, block.dense_width, block.dense_precision, after)
        return self._elementwise(f"{prefix}.relu", "relu", block.dense_width, names)

    def _bilinear(self, prefix: str, block: BlockChoice) -> Names:
        inputs, after = self._flat(block)
        factors = [
            self._matvec(f"{prefix}.{side}", inputs, block.dense_width, block.dense_precision, after)
            for side in ("left", "right")
        ]
        return self._elementwise(f"{prefix}.multiply", "multiply", block.dense_width, _joined(factors), 2)

    def _efc(self, prefix: str, block: BlockChoice) -> Names:
        rows, after = self._concatenated(self.sparse, block.sparse_inputs)
        width = block.sparse_width
        names = self._matvec(f"{prefix}.linear", rows, width, block.sparse_precision, after, EMBEDDING_DIM)
        return self._elementwise(f"{prefix}.relu", "relu", width * EMBEDDING_DIM, names)

    def _skip(self, prefix: str, block: BlockChoice) -> Names:
        inputs = [self._rows_read(self.sparse[source][1], block.sparse_width) for source in block.sparse_inputs]
        return self._added(f"{prefix}.add", block.sparse_width * EMBEDDING_DIM, inputs)

    def _attention(self, prefix: str, block: BlockChoice) -> Names:
        rows, after = self._concatenated(self.sparse, block.sparse_inputs)
        width, precision, dim = block.sparse_width, block.sparse_precision, EMBEDDING_DIM
        per_head, count = dim // ATTENTION_HEADS, width * dim
        tokens = self._matvec(f"{prefix}.projection", rows, width, precision, after, dim)
        names = self._matvec(f"{prefix}.qkv", dim, 3 * dim, precision, tokens, width)
        names = self._matmul(f"{prefix}.scores", width, per_head, width, ATTENTION_HEADS, False, names)
        names = self._elementwise(f"{prefix}.softmax", "softmax", ATTENTION_HEADS * width * width, names)
        names = self._matmul(f"{prefix}.values", width, width, per_head, ATTENTION_HEADS, False, names)
        names = self._matvec(f"{prefix}.attended", dim, dim, precision, names, width)
        names = self._elementwise(f"{prefix}.residual", "add", count, tokens + names, 2)
        tokens = self._elementwise(f"{prefix}.norm", "layernorm", count, names)
        names = self._matvec(f"{prefix}.fc1", dim, dim, precision, tokens, width)
        names = self._elementwise(f"{prefix}.relu", "relu", count, names)
        names = self._matvec(f"{prefix}.fc2", dim, dim, precision, names, width)
        names = self._elementwise(f"{prefix}.fc_residual", "add", count, tokens + names, 2)
        return self._elementwise(f"{prefix}.fc_norm", "layernorm", count, names)

    def _rows_read(self, names: Names, width: int) -> Names:
        """Of rows that come straight from tables, those of the first `width`: nobody reads what is cut off."""
        return names[:width] if set(names) <= self.tables else names

    def _pair(self, block: BlockChoice) -> tuple[int, Names, Names]:
        (left_width, left), (right_width, right) = self.dense[block.left], self.dense[block.right]
        return max(left_width, right_width), left, right

    def _flat(self, block: BlockChoice) -> tuple[int, Names]:
        width, dense = self._concatenated(self.dense, block.dense_inputs)
        rows, sparse = self._concatenated(self.sparse, block.sparse_inputs)
        return width + rows * EMBEDDING_DIM, _joined([dense, sparse])

    def _concatenated(self, sources: dict[int, tuple[int, Names]], chosen: Iterable[int]) -> tuple[int, Names]:
        parts = [sources[index] for index in chosen]
        return sum(size for size, _ in parts), _joined(names for _, names in parts)

    def _matvec(
        self, name: str, inputs: int, outputs: int, precision: Precision, after: Names, vectors: int = 1
    ) -> Names:
        weight_bits, input_bits = (min(bits, FLOAT_BITS) for bits in (precision.weight_bits, precision.input_bits))
        self.ops.append(
            MatVec(
                name,
                inputs,
                outputs,
                vectors=vectors,
                weight_bits=weight_bits,
                input_bits=input_bits,
                after=_joined([after]),
            )
        )
        # The integer sums are scaled and the bias added digitally, once per output.
        return self._elementwise(f"{name}.rescale", "rescale", outputs * vectors, (name,))

    def _matmul(
        self, name: str, rows: int, inner: int, columns: int, count: int, symmetric: bool, after: Names
    ) -> Names:
        self.ops.append(
            MatMul(
                name,
                rows,
                inner,
                columns,
                count=count,
                symmetric=symmetric,
                input_bits=FLOAT_BITS,
                after=_joined([after]),
            )
        )
        return (name,)

    def _elementwise(self, name: str, kind: str, count: int, after: Names, operands: int = 1) -> Names:
        self.ops.append(
            Elementwise(name, kind, count, input_bits=FLOAT_BITS, after=_joined([after]), operands=operands)
        )
        return (name,)


def _joined(parts: Iterable[Names]) -> Names:
    """The names of all parts, each once, in order of appearance."""
    return tuple(dict.fromkeys(name for part in parts for name in part))
