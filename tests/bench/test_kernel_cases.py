"""What the kernels are timed against computes the same; the order in which that is done."""

import math

import pytest

torch = pytest.importorskip("torch", reason="the kernel benchmark needs the train extra")
pytest.importorskip("triton", reason="the kernel benchmark needs Triton")

from kernel_stand_ins import Clock  # noqa: E402
from torch.nn import functional  # noqa: E402

from crossiqa_edge.bench.kernel_cases import (  # noqa: E402
    ATTENTION_SHAPES,
    add_layer_norm_case,
    attention_case,
    attention_int8_case,
    int8_case,
    layer_norm_case,
    linear_case,
)
from crossiqa_edge.bench.kernel_encoders import (  # noqa: E402
    embed_case,
    encoder_case,
    frame_case,
    head_case,
    one_launch_case,
)
from crossiqa_edge.bench.kernel_names import COMPILED, EAGER, OURS, PERSISTENT, TUNED, compiles  # noqa: E402
from crossiqa_edge.bench.kernel_plan import experiments, plan  # noqa: E402
from crossiqa_edge.bench.kernel_run import Budget, distances, first_result, prepared  # noqa: E402
from crossiqa_edge.kernels.quality import FusedQuality  # noqa: E402

CPU = {"device": "cpu", "dtype": torch.float32}
HALF = {"device": "cpu", "dtype": torch.float16}  # int8 attention takes no float32
WAYS_OF_SDPA = {"sdpa flash", "sdpa efficient", "sdpa cudnn"}  # of which a CPU has the first at most

CASES = {
    "attention": lambda: attention_case(2, 5, 2, 32, **CPU, compiled=False),
    "attention in int8": lambda: attention_int8_case(2, 5, 2, 32, **HALF, compiled=False),
    "layer_norm": lambda: layer_norm_case(6, 32, **CPU, compiled=False),
    "add_layer_norm": lambda: add_layer_norm_case(6, 32, **CPU, compiled=False),
    "linear": lambda: linear_case(6, 32, 16, "bias", **CPU, compiled=False),
    "linear with GELU": lambda: linear_case(6, 32, 16, "gelu", **CPU, compiled=False),
    "linear with residual": lambda: linear_case(6, 32, 16, "residual", **CPU, compiled=False),
    "linear in int8": lambda: int8_case(6, 32, 16, **CPU, compiled=False),
    "embed": lambda: embed_case("micro", 300, 400, **CPU, compiled=False),
    "head": lambda: head_case("micro", 3, **CPU, compiled=False),
}
SCORING = {
    "encoder": lambda: encoder_case("micro", 2, **CPU, compiled=False),
    "encoder of one view": lambda: encoder_case("micro", 1, **CPU, compiled=False),
    "frame to score": lambda: frame_case("micro", 300, 400, **CPU, compiled=False),
    "encoder in one launch": lambda: one_launch_case("micro", **CPU),
}


def worked(case):
    with torch.no_grad():
        calls, failed = prepared(case, Clock(), Budget(1e4), 0)
        results = {name: first_result(call()) for name, call in calls.items()}
        return results, distances(calls), failed


@pytest.mark.parametrize("name", CASES | SCORING)
def test_candidates_compute_the_same(name):
    """Otherwise their times would not be comparable. int8 rounds to 127 steps; all else is float32."""
    case = (CASES | SCORING)[name]()
    results, off_by, failed = worked(case)
    assert set(failed) <= WAYS_OF_SDPA
    assert OURS in off_by
    assert len(off_by) >= 2
    assert max(off_by.values()) < (0.02 if name.endswith("int8") else 1e-4)
    assert min(case.flops, case.moved) > 0
    values = results[OURS]
    assert values.std() > 0 if values.numel() > 1 else abs(float(values) - 50) > 0.1


def allowed():
    cuda = torch.backends.cuda
    seen = (cuda.flash_sdp_enabled, cuda.mem_efficient_sdp_enabled, cuda.cudnn_sdp_enabled)
    return [each() for each in (*seen, cuda.math_sdp_enabled)]


def ways_of_sdpa():
    candidates = attention_case(2, 5, 2, 32, **CPU, compiled=False).candidates
    return [prepare() for name, prepare in candidates.items() if name.startswith("sdpa")]


def test_each_way_of_sdpa_is_taken_alone(monkeypatch):
    seen = []

    def attend(query, key, value):
        seen.append(allowed())
        raise RuntimeError("seen enough")

    monkeypatch.setattr(functional, "scaled_dot_product_attention", attend)
    for call in ways_of_sdpa():
        with pytest.raises(RuntimeError, match="seen enough"):
            call()
        assert all(allowed())
    assert seen == [[place == way for place in range(4)] for way in range(4)]


@pytest.mark.parametrize("name", SCORING)
def test_an_encoder_that_computes_noise_is_seen(name, monkeypatch):
    """A regression that is zero would give 50 for whatever the encoder computes."""
    monkeypatch.setattr(FusedQuality, "encoded", lambda self, tokens: torch.randn_like(tokens))
    torch.manual_seed(1)
    _, off_by, _ = worked(SCORING[name]())
    assert off_by[OURS] > 0.01


def test_an_encoder_that_forgets_a_block_is_seen(monkeypatch):
    def encoded(self, tokens):
        for block in self.blocks[:-1]:
            tokens = block(tokens)
        return tokens

    monkeypatch.setattr(FusedQuality, "encoded", encoded)
    _, off_by, _ = worked(SCORING["encoder"]())
    assert off_by[OURS] > 1e-3


def test_torch_compile_is_a_candidate_where_it_is_wanted():
    cases = [attention_case(1, 5, 2, 32, **CPU, compiled=True)]
    cases += [attention_int8_case(1, 5, 2, 32, **HALF, compiled=True)]
    cases += [
        frame_case("micro", 300, 400, **CPU, compiled=True),
        head_case("micro", 3, **CPU, compiled=True),
    ]
    assert all(COMPILED in case.candidates for case in cases)
    assert TUNED in encoder_case("micro", 1, **CPU, compiled=True).candidates
    assert not any(compiles(name) for name in frame_case("micro", 300, 400, **CPU, compiled=False).candidates)


def test_operations_of_an_encoder_are_those_of_its_products():
    """nano: 6 blocks of 12 * 128^2 weights and two products of 197 x 197 x 128, two operations each."""
    case = encoder_case("nano", 1, device="cpu", dtype=torch.float16, compiled=False)
    assert case.flops == 6 * (2 * 197 * 12 * 128**2 + 4 * 197**2 * 128)


def named(planned):
    return [(item.kernel, *item.shape.values()) for item in planned]


def test_what_the_goals_name_comes_first():
    order = named(plan("cuda", torch.float16))  # no GPU is asked for before a case is made
    assert len(order) == len(set(order))
    assert [place[0] for place in order[:6]] == ["attention"] * 6
    assert {place[2] for place in order[:6]} == {197}
    light = [("encoder", size, batch) for batch in (1, 64) for size in ("tiny", "nano")]
    assert order[6:10] == light
    assert order[10:12] == [("frame to score", "tiny", 1080, 1920), ("frame to score", "tiny", 2160, 3840)]
    assert {("attention", *shape) for shape in ATTENTION_SHAPES} <= set(order)
    batches = {(size, batch) for size in ("nano", "tiny", "small", "base") for batch in (1, 8, 64, 256)}
    assert {place[1:] for place in order if place[0] == "encoder"} == batches
    others = {"linear", "linear_int8", "layer_norm", "add_layer_norm", "attention_int8", "head", "embed"}
    assert others < {place[0] for place in order}


def test_the_kernel_that_may_never_end_is_a_case_of_its_own():
    """For the members that it fits; where it hangs, it takes nothing of the others with it."""
    assert named(experiments("cuda", torch.float16)) == [
        ("encoder in one launch", "nano", 1),
        ("encoder in one launch", "tiny", 1),
    ]
    assert PERSISTENT not in encoder_case("micro", 1, **CPU, compiled=False).candidates
    assert list(one_launch_case("micro", **CPU).candidates) == [OURS, EAGER, PERSISTENT]


def test_scores_are_in_the_middle_of_their_scale():
    """At its ends the sigmoid hides what differs."""
    results, _, _ = worked(encoder_case("nano", 2, **CPU, compiled=False))
    assert all(10 < score < 90 and not math.isclose(score, 50) for score in results[OURS].tolist())
