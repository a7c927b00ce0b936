"""The body of ``persistent.py``: the phases of a block, shared out among all programs, and their barrier.

A phase is a loop over its tiles, which begins at the program's number and goes on by the number of programs.
"""

from __future__ import annotations

import triton
import triton.language as tl

from crossiqa_edge.kernels.attention_attend import attend
from crossiqa_edge.kernels.attention_rows import LOG2_E, load_rows, store_rows
from crossiqa_edge.kernels.epilogue import finish_and_store
from crossiqa_edge.kernels.rows import normalised_rows


@triton.jit
def wait_for_all(counter_pointer, passed, PROGRAMS: tl.constexpr):
    """Return once all PROGRAMS programs are here; counter: one int32, 0 before the first barrier.

    ``passed`` counts the barriers before this one. What any program wrote before it, all can read after it. A
    single program has nobody to wait for.
    """
    if PROGRAMS > 1:
        tl.debug_barrier()  # all threads of this program have written
        tl.atomic_add(counter_pointer, 1, sem="release", scope="gpu")
        # To add 0 is Triton's way to say a load that acquires, and so it is compiled.
        while tl.atomic_add(counter_pointer, 0, sem="acquire", scope="gpu") < (passed + 1) * PROGRAMS:
            pass
        tl.debug_barrier()


@triton.jit
def normalised_linear(
    x_pointer,
    norm_pointer,
    weight_pointer,
    output_pointer,
    tokens,
    COLUMNS: tl.constexpr,
    WIDTH: tl.constexpr,
    GELU: tl.constexpr,
    EPSILON: tl.constexpr,
    PROGRAMS: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_WIDTH: tl.constexpr,
):
    """output (tokens, COLUMNS) = LayerNorm(x) @ weight.T + bias, and GELU of it; a share of its tiles.

    x (tokens, WIDTH); norm: WIDTH weights, then as many biases; weight (COLUMNS, WIDTH), then COLUMNS biases;
    all contiguous. Each tile normalises its rows anew: a row is short, and a barrier is dear.
    """
    column_blocks: tl.constexpr = tl.cdiv(COLUMNS, BLOCK)
    depth = tl.arange(0, BLOCK_WIDTH)
    present = depth < WIDTH
    for tile in range(tl.program_id(0), tl.cdiv(tokens, ROWS) * column_blocks, PROGRAMS):
        row = tile // column_blocks * ROWS + tl.arange(0, ROWS)
        column = tile % column_blocks * BLOCK + tl.arange(0, BLOCK)
        valid = (row < tokens)[:, None] & present[None, :]
        x = tl.load(x_pointer + row[:, None] * WIDTH + depth[None, :], mask=valid, other=0.0).to(tl.float32)
        norm = (norm_pointer, norm_pointer + WIDTH)
        in_pairs: tl.constexpr = output_pointer.dtype.element_ty == tl.float32
        x = normalised_rows(x, 0.0, valid, *norm, depth, WIDTH, EPSILON, in_pairs)
        place = weight_pointer + column[None, :] * WIDTH + depth[:, None]
        weight = tl.load(place, mask=present[:, None], other=0.0)
        finish_and_store(
            tl.dot(x.to(weight.dtype), weight, input_precision=PRECISION),
            *(weight_pointer + COLUMNS * WIDTH, None, None, output_pointer),
            *(row, column, tokens, 0, COLUMNS, GELU),
        )


@triton.jit
def added_linear(
    x_pointer,
    weight_pointer,
    stream_pointer,
    tokens,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    PROGRAMS: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    STEP: tl.constexpr,
):
    """stream (tokens, COLUMNS) += x @ weight.T + bias, in place; a share of its tiles.

    x (tokens, DEPTH); weight (COLUMNS, DEPTH), then COLUMNS biases; all contiguous. A tile of the stream is
    read and written by one program.
    """
    column_blocks: tl.constexpr = tl.cdiv(COLUMNS, BLOCK)
    depth = tl.arange(0, STEP)
    for tile in range(tl.program_id(0), tl.cdiv(tokens, ROWS) * column_blocks, PROGRAMS):
        row = tile // column_blocks * ROWS + tl.arange(0, ROWS)
        column = tile % column_blocks * BLOCK + tl.arange(0, BLOCK)
        x_pointers = x_pointer + tl.minimum(row, tokens - 1)[:, None] * DEPTH + depth[None, :]
        weight_pointers = weight_pointer + column[None, :] * DEPTH + depth[:, None]
        product = tl.zeros((ROWS, BLOCK), tl.float32)
        for start in range(0, DEPTH, STEP):
            x, weight = tl.load(x_pointers + start), tl.load(weight_pointers + start)
            product = tl.dot(x, weight, product, input_precision=PRECISION)
        finish_and_store(
            product,
            *(weight_pointer + COLUMNS * DEPTH, None, stream_pointer, stream_pointer),
            *(row, column, tokens, COLUMNS, COLUMNS, False),
        )


@triton.jit
def whole_row_attention(
    qkv_pointer,
    context_pointer,
    tokens,
    HEADS: tl.constexpr,
    DIM: tl.constexpr,
    SCALE: tl.constexpr,
    PROGRAMS: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    PIECES: tl.constexpr,
):
    """context (tokens, HEADS * DIM) of qkv (tokens, 3, HEADS, DIM), both contiguous; a share of its tiles."""
    WIDTH: tl.constexpr = HEADS * DIM
    for tile in range(tl.program_id(0), tl.cdiv(tokens, ROWS) * HEADS, PROGRAMS):
        row = tile // HEADS * ROWS + tl.arange(0, ROWS)
        base = qkv_pointer + tile % HEADS * DIM
        query = load_rows(base, row, 3 * WIDTH, row < tokens, DIM, True)
        _, total, context = attend(
            *(query, tl.full((ROWS,), SCALE * LOG2_E, tl.float32)),
            *(tl.full((ROWS,), float("-inf"), tl.float32), tl.zeros((ROWS,), tl.float32)),
            *(tl.zeros((ROWS, DIM), tl.float32), base + WIDTH, base + 2 * WIDTH),
            *(0, 3 * WIDTH, tokens, None, DIM, PIECES, True, PRECISION, True, False),
        )
        place = context_pointer + tile % HEADS * DIM
        store_rows(place, row, WIDTH, row < tokens, context / total[:, None], DIM)


@triton.jit
def encoder_kernel(
    stream_pointer,
    parameters_pointer,
    qkv_pointer,
    context_pointer,
    hidden_pointer,
    counter_pointer,
    tokens,
    LAYERS: tl.constexpr,
    HEADS: tl.constexpr,
    DIM: tl.constexpr,
    HIDDEN: tl.constexpr,
    SCALE: tl.constexpr,
    EPSILON: tl.constexpr,
    PROGRAMS: tl.constexpr,
    PRECISION: tl.constexpr,
    PIECES: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    STEP: tl.constexpr,
    BLOCK_WIDTH: tl.constexpr,
):
    """Launched on PROGRAMS programs that all run at once.

    stream (tokens, width), overwritten by the last block's tokens; parameters (LAYERS, ...) as
    ``packed_parameters`` gives them; qkv (tokens, 3 * width), context (tokens, width) and hidden
    (tokens, HIDDEN) are working memory; all of one type. counter: one int32, 0.
    """
    WIDTH: tl.constexpr = HEADS * DIM
    SQUARE: tl.constexpr = WIDTH * WIDTH + WIDTH  # a weight (WIDTH, WIDTH) with its bias
    for layer in range(LAYERS):
        norm = parameters_pointer + layer * (4 * SQUARE + 4 * WIDTH + 2 * HIDDEN * WIDTH + HIDDEN + WIDTH)
        qkv_weight = norm + 2 * WIDTH
        projection = qkv_weight + 3 * SQUARE
        norm2 = projection + SQUARE
        fc1 = norm2 + 2 * WIDTH
        fc2 = fc1 + HIDDEN * WIDTH + HIDDEN
        normalised_linear(
            *(stream_pointer, norm, qkv_weight, qkv_pointer, tokens, 3 * WIDTH, WIDTH, False),
            *(EPSILON, PROGRAMS, PRECISION, ROWS, BLOCK, BLOCK_WIDTH),
        )
        wait_for_all(counter_pointer, 5 * layer, PROGRAMS)
        whole_row_attention(
            *(qkv_pointer, context_pointer, tokens, HEADS, DIM, SCALE, PROGRAMS, PRECISION, ROWS, PIECES)
        )
        wait_for_all(counter_pointer, 5 * layer + 1, PROGRAMS)
        added_linear(
            *(context_pointer, projection, stream_pointer, tokens, WIDTH, WIDTH),
            *(PROGRAMS, PRECISION, ROWS, BLOCK, STEP),
        )
        wait_for_all(counter_pointer, 5 * layer + 2, PROGRAMS)
        normalised_linear(
            *(stream_pointer, norm2, fc1, hidden_pointer, tokens, HIDDEN, WIDTH, True),
            *(EPSILON, PROGRAMS, PRECISION, ROWS, BLOCK, BLOCK_WIDTH),
        )
        wait_for_all(counter_pointer, 5 * layer + 3, PROGRAMS)
        added_linear(
            *(hidden_pointer, fc2, stream_pointer, tokens, WIDTH, HIDDEN),
            *(PROGRAMS, PRECISION, ROWS, BLOCK, STEP),
        )
        wait_for_all(counter_pointer, 5 * layer + 4, PROGRAMS)
