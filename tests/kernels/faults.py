"""Faults for ``mutations.py`` to put into the kernels, one at a time, and the tests that should see them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """``old``, which stands once in kernels/``module``.py, becomes ``new``; ``tests`` should see it."""

    name: str
    module: str
    old: str
    new: str
    tests: tuple[str, ...]


FORWARD, BACKWARD, INT8 = ("test_attention",), ("test_attention_backward",), ("test_attention_int8",)

FAULTS = (
    Fault(
        "forward: scores of absent keys are not masked",
        "attention_forward",
        'scores = tl.where(present[None, :], scores, float("-inf"))',
        "scores = scores",
        FORWARD,
    ),
    Fault(
        "forward: rows beyond the last are read",
        "attention_rows",
        "return tl.load(place, mask=present[:, None], other=0.0)",
        "return tl.load(place)",
        FORWARD,
    ),
    Fault(
        "forward: the caller's mask is ignored after the last step",
        "attention_rows",
        "present &= tl.load(keep_pointer + row, mask=present, other=0) != 0",
        "present = present",
        FORWARD,
    ),
    Fault(
        "forward: the caller's mask is ignored in the steps",
        "attention_rows",
        "present = tl.load(keep_pointer + row) != 0",
        "present = present",
        FORWARD,
    ),
    Fault(
        "forward: no scale",
        "attention_forward",
        "tl.full((BLOCK,), SCALE * LOG2_E, tl.float32)",
        "tl.full((BLOCK,), LOG2_E, tl.float32)",
        FORWARD,
    ),
    Fault("forward: base 2 taken for e", "attention_rows", "1.4426950408889634", "1.0", FORWARD),
    Fault(
        "forward: keys and values swapped",
        "attention_forward",
        "key_base = query_base + width\n    value_base = key_base + width",
        "value_base = query_base + width\n    key_base = value_base + width",
        FORWARD,
    ),
    Fault(
        "forward: the last token is left out",
        "attention_rows",
        "present = row < tokens\n    if keep_pointer is not None:\n        if MASKED",
        "present = row < tokens - 1\n    if keep_pointer is not None:\n        if MASKED",
        FORWARD,
    ),
    Fault(
        "forward: one token too many",
        "attention_rows",
        "present = row < tokens\n    if keep_pointer is not None:\n        if MASKED",
        "present = row <= tokens\n    if keep_pointer is not None:\n        if MASKED",
        FORWARD,
    ),
    Fault(
        "forward: the last whole step is left out",
        "attention_forward",
        "whole = tokens // STEP * STEP",
        "whole = (tokens - 1) // STEP * STEP",
        FORWARD,
    ),
    Fault(
        "forward: sums are not rescaled when the maximum rises",
        "attention_forward",
        "context *= fade[:, None]",
        "context *= 1.0",
        FORWARD,
    ),
    Fault(
        "forward: the total is not rescaled when the maximum rises",
        "attention_forward",
        "total *= fade",
        "total *= 1.0",
        FORWARD,
    ),
    Fault(
        "forward: no maximum is subtracted",
        "attention_forward",
        "higher = tl.maximum(higher, tl.max(part, 1))",
        "higher = tl.zeros_like(peak)",
        FORWARD,
    ),
    Fault(
        "forward: outputs beyond the last row are written",
        "attention_rows",
        "values.to(base.dtype.element_ty), mask=present[:, None])",
        "values.to(base.dtype.element_ty))",
        FORWARD,
    ),
    Fault(
        "forward: every head reads the first",
        "attention_forward",
        "query_base = qkv_pointer + batch * batch_stride + head * DIM",
        "query_base = qkv_pointer + batch * batch_stride",
        FORWARD,
    ),
    Fault(
        "forward: strides taken for those of a contiguous tensor",
        "attention_forward",
        "            qkv.stride(0),\n            qkv.stride(1),",
        "            qkv.shape[1] * 3 * heads * dim,\n            3 * heads * dim,",
        FORWARD,
    ),
    Fault(
        "forward: a row without keys divides by zero",
        "attention_forward",
        "total = tl.where(total == 0.0, 1.0, total)",
        "total = total",
        FORWARD,
    ),
    Fault(
        "forward: the saved sums lack the maximum",
        "attention_forward",
        "peak * unit + tl.log2(total)",
        "tl.log2(total)",
        FORWARD,
    ),
    Fault(
        "tiles: the rest is left out",
        "attention_tiles",
        "_pieces(tokens % step)",
        "()",
        FORWARD,
    ),
    Fault("tiles: the last tile is left out", "attention_tiles", "while left:", "while left > 16:", FORWARD),
    Fault(
        "forward: every tile has the values of the first",
        "attention_forward",
        "*(weights, context, value_base, row + tl.arange",
        "*(weights, context, value_base, first + tl.arange",
        FORWARD,
    ),
    Fault(
        "forward: every tile has the keys of the first",
        "attention_forward",
        "*(query, key_base, row + tl.arange",
        "*(query, key_base, first + tl.arange",
        FORWARD,
    ),
    Fault(
        "backward: the rows' mean is not subtracted (dQ)",
        "attention_backward",
        "weight_gradient - delta[:, None]",
        "weight_gradient",
        BACKWARD,
    ),
    Fault(
        "backward: the rows' mean is not subtracted (dK)",
        "attention_backward",
        "weight_gradient - delta[None, :]",
        "weight_gradient",
        BACKWARD,
    ),
    Fault(
        "backward: no scale (dQ)", "attention_backward", "query_gradient * SCALE", "query_gradient", BACKWARD
    ),
    Fault("backward: no scale (dK)", "attention_backward", "key_gradient * SCALE", "key_gradient", BACKWARD),
    Fault(
        "backward: dK and dV swapped",
        "attention_backward",
        "gradient_base + width, row, 3 * width, present, key_gradient * SCALE",
        "gradient_base + width, row, 3 * width, present, value_gradient * SCALE",
        BACKWARD,
    ),
    Fault(
        "backward: absent keys have weights (dQ)",
        "attention_backward",
        "weights = tl.where(present[None, :], weights, 0.0)",
        "weights = weights",
        BACKWARD,
    ),
    Fault(
        "backward: keys that do not count have a gradient",
        "attention_backward",
        "weights = tl.where(counts[:, None], weights, 0.0)",
        "weights = weights",
        BACKWARD,
    ),
    Fault(
        "backward: the last query is left out",
        "attention_backward",
        '"""Add to dK / scale and dV of a block of keys what the queries at ``row`` give."""\n'
        "    present = row < tokens",
        "present = row < tokens - 1",
        BACKWARD,
    ),
    Fault(
        "int8: the keys' scales are left out",
        "attention_forward",
        ".to(tl.float32) * key_scale[None, :]",
        ".to(tl.float32)",
        INT8,
    ),
    Fault("int8: truncated, not rounded", "attention_rows", "[:, None] + 0.5).to", "[:, None]).to", INT8),
    Fault(
        "int8: rows of zeros have no scale",
        "attention_rows",
        "tl.constexpr(1e-12)",
        "tl.constexpr(0.0)",
        INT8,
    ),
    Fault(
        "int8: the queries' scales are left out",
        "attention_forward",
        "unit *= query_scale",
        "unit *= 1.0",
        INT8,
    ),
    Fault(
        "layer_norm: columns beyond the width are read",
        "layer_norm",
        "valid = (row < rows) & present[None, :]",
        "valid = (row < rows) & (column >= 0)[None, :]",
        ("test_layer_norm",),
    ),
    Fault(
        "layer_norm: rows beyond the last are written",
        "layer_norm",
        "valid = (row < rows) & present[None, :]",
        "valid = (row >= 0) & present[None, :]",
        ("test_layer_norm",),
    ),
    Fault(
        "layer_norm: no LayerScale",
        "layer_norm",
        "stream *= tl.load(scale_pointer + column, mask=present, other=0.0).to(tl.float32)",
        "stream *= 1.0",
        ("test_layer_norm",),
    ),
    Fault(
        "layer_norm: what rounding leaves of the mean stays",
        "rows",
        "centred = tl.where(valid, centred - (tl.sum(centred, axis=1) / WIDTH)[:, None], 0.0)",
        "centred = tl.where(valid, centred, 0.0)",
        ("test_layer_norm",),
    ),
    Fault(
        "layer_norm: the gradient lacks its mean",
        "layer_norm_backward",
        "gradient - mean[:, None] - unit",
        "gradient - unit",
        ("test_layer_norm_backward",),
    ),
    Fault(
        "layer_norm: a program sums its first rows only",
        "layer_norm_backward",
        "weight_sum += tl.sum(gradient * unit, axis=0)",
        "weight_sum = tl.sum(gradient * unit, axis=0)",
        ("test_layer_norm_backward",),
    ),
    Fault(
        "linear: depth beyond the last is read",
        "linear",
        "if DEPTH % BLOCK_DEPTH == 0:",
        "if True:",
        ("test_linear",),
    ),
    Fault(
        "linear: no LayerScale",
        "epilogue",
        "product *= tl.load(scale_pointer + column, mask=present, other=0.0).to(tl.float32)",
        "product *= 1.0",
        ("test_linear",),
    ),
    Fault(
        "linear: rows beyond the last are written",
        "epilogue",
        "valid = (row < rows)[:, None] & present[None, :]",
        "valid = (row >= 0)[:, None] & present[None, :]",
        ("test_linear",),
    ),
    Fault(
        "linear_int8: truncated, not rounded",
        "linear_int8",
        "quantised = _rounded(x / x_scale[:, None]).to(tl.int8)",
        "quantised = (x / x_scale[:, None]).to(tl.int8)",
        ("test_linear_int8",),
    ),
    Fault(
        "linear_int8: rows of zeros have no scale",
        "linear_int8",
        "x_scale = tl.where(largest > 0, largest / 127.0, 1.0)",
        "x_scale = largest / 127.0",
        ("test_linear_int8",),
    ),
    Fault(
        "embed: positions of the patch before",
        "embed_kernels",
        "position_pointer + (number + PREFIX) * COLUMNS",
        "position_pointer + number * COLUMNS",
        ("test_embed",),
    ),
    Fault(
        "embed: the class token lacks its position",
        "embed_kernels",
        "token += tl.load(position_pointer + column[None, :], mask=present, other=0.0).to(tl.float32)",
        "token += 0.0",
        ("test_embed",),
    ),
    Fault(
        "embed: Cb and Cr swapped",
        "pixels",
        "blue * tl.load(factor + 1) + red * tl.load(factor + 2)",
        "red * tl.load(factor + 1) + blue * tl.load(factor + 2)",
        ("test_embed",),
    ),
    Fault(
        "embed: no reflection",
        "pixels",
        "position = tl.minimum(position, 2 * length - 2 - position)",
        "position = position",
        ("test_embed",),
    ),
    Fault(
        "head: the class token is part of the mean",
        "head",
        "for start in range(1, tokens, BLOCK_TOKENS):",
        "for start in range(0, tokens, BLOCK_TOKENS):",
        ("test_head",),
    ),
    Fault(
        "head: no bias",
        "head",
        "axis=0) + tl.load(bias_pointer).to(tl.float32)",
        "axis=0)",
        ("test_head",),
    ),
    Fault(
        "persistent: every block has the parameters of the first",
        "persistent_kernels",
        "norm = parameters_pointer + layer * (",
        "norm = parameters_pointer + 0 * (",
        ("test_persistent",),
    ),
    Fault(
        "persistent: the last tile of attention is left out",
        "persistent_kernels",
        "tl.cdiv(tokens, ROWS) * HEADS, PROGRAMS",
        "tl.cdiv(tokens, ROWS) * HEADS - 1, PROGRAMS",
        ("test_persistent",),
    ),
    Fault(
        "persistent: nothing is added to the stream",
        "persistent_kernels",
        "None, stream_pointer, stream_pointer",
        "None, None, stream_pointer",
        ("test_persistent",),
    ),
)
