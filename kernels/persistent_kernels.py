"""The body of ``persistent.py``: the phases of a block, shared out among all programs, and their barrier.

A phase is a loop over its tiles, which begins at the program's number and goes on by the number of programs.
It is no loop to prefetch in, hence ``num_stages=1``: its tiles would take shared memory several times over.
"""

from __future__ import annotations

import triton
import triton.language as tl

from crossiqa_edge.kernels.attention_attend import attend_to_all
from crossiqa_edge.kernels.attention_rows import load_rows, store_rows
from crossiqa_edge.kernels.epilogue import finish_and_store
from crossiqa_edge.kernels.pairs import pair_sum, plus, quotient


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
def row_statistics(x_pointers, WIDTH: tl.constexpr, EPSILON: tl.constexpr, CHUNK: tl.constexpr):
    """Of rows their mean, what its rounding left, and 1 / sqrt(variance + EPSILON), each (rows,) float32.

    x_pointers (rows, 1), to the first of WIDTH elements; CHUNK of them are read at once, in two passes, so
    that a row takes the same registers however wide it is. What rounding leaves of the mean of a nearly
    constant row, 1 / sqrt(EPSILON) magnifies, hence the pair.
    """
    column = tl.arange(0, CHUNK)
    total = tl.zeros((x_pointers.shape[0],), tl.float32)
    total_rest = total
    for start in range(0, WIDTH, CHUNK):
        x = tl.load(x_pointers + start + column, mask=start + column < WIDTH, other=0.0).to(tl.float32)
        total, total_rest = plus(total, total_rest, *pair_sum(x, 0.0, 1))
    mean, rest = quotient(total, total_rest, tl.full(total.shape, WIDTH, tl.float32), 0.0)
    squares = tl.zeros((x_pointers.shape[0],), tl.float32)
    for start in range(0, WIDTH, CHUNK):
        present = start + column < WIDTH
        x = tl.load(x_pointers + start + column, mask=present, other=0.0).to(tl.float32)
        centred = tl.where(present, (x - mean[:, None]) - rest[:, None], 0.0)
        squares += tl.sum(centred * centred, 1)
    return mean, rest, 1.0 / tl.sqrt(squares / WIDTH + EPSILON)


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
    DEPTH: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """output (tokens, COLUMNS) = LayerNorm(x) @ weight.T + bias, and GELU of it; a share of its tiles.

    x (tokens, WIDTH); norm: WIDTH weights, then as many biases; weight (COLUMNS, WIDTH), then COLUMNS biases;
    all contiguous. Each tile normalises its rows anew: a row is short, and a barrier is dear.
    """
    column_blocks: tl.constexpr = tl.cdiv(COLUMNS, BLOCK)
    depth = tl.arange(0, DEPTH)
    for tile in tl.range(tl.program_id(0), tl.cdiv(tokens, ROWS) * column_blocks, PROGRAMS, num_stages=1):
        row = tile // column_blocks * ROWS + tl.arange(0, ROWS)
        column = tile % column_blocks * BLOCK + tl.arange(0, BLOCK)
        x_pointers = x_pointer + tl.minimum(row, tokens - 1)[:, None] * WIDTH
        weight_pointers = weight_pointer + column[None, :] * WIDTH + depth[:, None]
        mean, rest, root = row_statistics(x_pointers, WIDTH, EPSILON, CHUNK)
        product = tl.zeros((ROWS, BLOCK), tl.float32)
        for start in range(0, WIDTH, DEPTH):
            x, weight = tl.load(x_pointers + start + depth[None, :]), tl.load(weight_pointers + start)
            norm = tl.load(norm_pointer + start + depth).to(tl.float32)
            norm_bias = tl.load(norm_pointer + WIDTH + start + depth).to(tl.float32)
            unit = ((x.to(tl.float32) - mean[:, None]) - rest[:, None]) * root[:, None]
            x = tl.fma(unit, norm[None, :], norm_bias[None, :]).to(weight.dtype)
            product = tl.dot(x, weight, product, input_precision=PRECISION)
        finish_and_store(
            product,
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
    WIDTH: tl.constexpr,
    PROGRAMS: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """stream (tokens, COLUMNS) += x @ weight.T + bias, in place; a share of its tiles.

    x (tokens, WIDTH); weight (COLUMNS, WIDTH), then COLUMNS biases; all contiguous. A tile of the stream is
    read and written by one program.
    """
    column_blocks: tl.constexpr = tl.cdiv(COLUMNS, BLOCK)
    depth = tl.arange(0, DEPTH)
    for tile in tl.range(tl.program_id(0), tl.cdiv(tokens, ROWS) * column_blocks, PROGRAMS, num_stages=1):
        row = tile // column_blocks * ROWS + tl.arange(0, ROWS)
        column = tile % column_blocks * BLOCK + tl.arange(0, BLOCK)
        x_pointers = x_pointer + tl.minimum(row, tokens - 1)[:, None] * WIDTH + depth[None, :]
        weight_pointers = weight_pointer + column[None, :] * WIDTH + depth[:, None]
        product = tl.zeros((ROWS, BLOCK), tl.float32)
        for start in range(0, WIDTH, DEPTH):
            x, weight = tl.load(x_pointers + start), tl.load(weight_pointers + start)
            product = tl.dot(x, weight, product, input_precision=PRECISION)
        finish_and_store(
            product,
            *(weight_pointer + COLUMNS * WIDTH, None, stream_pointer, stream_pointer),
            *(row, column, tokens, COLUMNS, COLUMNS, False),
        )


@triton.jit
def shared_attention(
    qkv_pointer,
    context_pointer,
    tokens,
    HEADS: tl.constexpr,
    DIM: tl.constexpr,
    SCALE: tl.constexpr,
    PROGRAMS: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    STEP: tl.constexpr,
    REST: tl.constexpr,
    SLICED: tl.constexpr,
):
    """context (tokens, HEADS * DIM) of qkv (tokens, 3, HEADS, DIM), both contiguous; a share of its tiles."""
    WIDTH: tl.constexpr = HEADS * DIM
    for tile in tl.range(tl.program_id(0), tl.cdiv(tokens, ROWS) * HEADS, PROGRAMS, num_stages=1):
        row = tile // HEADS * ROWS + tl.arange(0, ROWS)
        base = qkv_pointer + tile % HEADS * DIM
        query = load_rows(base, row, 3 * WIDTH, row < tokens, DIM, True)
        _, total, context = attend_to_all(
            *(query, base + WIDTH, base + 2 * WIDTH, 3 * WIDTH, tokens, None, SCALE, DIM, STEP, REST),
            *(False, True, PRECISION, SLICED),
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
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    DEPTH: tl.constexpr,
    CHUNK: tl.constexpr,
    STEP: tl.constexpr,
    REST: tl.constexpr,
    SLICED: tl.constexpr,
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
            *(EPSILON, PROGRAMS, PRECISION, ROWS, BLOCK, DEPTH, CHUNK),
        )
        wait_for_all(counter_pointer, 5 * layer, PROGRAMS)
        shared_attention(
            *(qkv_pointer, context_pointer, tokens, HEADS, DIM, SCALE, PROGRAMS, PRECISION),
            *(ROWS, STEP, REST, SLICED),
        )
        wait_for_all(counter_pointer, 5 * layer + 1, PROGRAMS)
        added_linear(
            *(context_pointer, projection, stream_pointer, tokens, WIDTH, WIDTH),
            *(PROGRAMS, PRECISION, ROWS, BLOCK, DEPTH),
        )
        wait_for_all(counter_pointer, 5 * layer + 2, PROGRAMS)
        normalised_linear(
            *(stream_pointer, norm2, fc1, hidden_pointer, tokens, HIDDEN, WIDTH, True),
            *(EPSILON, PROGRAMS, PRECISION, ROWS, BLOCK, DEPTH, CHUNK),
        )
        wait_for_all(counter_pointer, 5 * layer + 3, PROGRAMS)
        added_linear(
            *(hidden_pointer, fc2, stream_pointer, tokens, WIDTH, HIDDEN),
            *(PROGRAMS, PRECISION, ROWS, BLOCK, DEPTH),
        )
        wait_for_all(counter_pointer, 5 * layer + 4, PROGRAMS)
