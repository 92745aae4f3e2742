"""Chunked cross-entropy: the plain one's loss and gradients, with a third of its memory."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.loss import IGNORED, chunked_cross_entropy, read_fused, read_in_place


def both(tokens: int, width: int, vocabulary: int, chunk: int, ignored: int, dtype: torch.dtype = torch.float32):  # type: ignore[no-untyped-def]
    """Loss and gradients of the plain and of the chunked one, on the same seeded numbers."""
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(tokens, width, generator=draw).to(dtype)
    head = torch.nn.Linear(width, vocabulary)
    with torch.no_grad():
        head.weight.normal_(0, 0.5, generator=draw)
        head.bias.normal_(0, 0.5, generator=draw)
    targets = torch.randint(0, vocabulary, (tokens,), generator=draw)
    targets[:ignored] = IGNORED
    results = []
    for chunked in (False, True):
        leaf = features.clone().requires_grad_()
        head.zero_grad()
        if chunked:
            loss = chunked_cross_entropy(leaf, head, targets, chunk)
        else:
            logits = torch.nn.functional.linear(leaf.float(), head.weight, head.bias)
            loss = torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
        (loss / max(1, tokens - ignored)).backward()
        results.append((loss.detach(), leaf.grad, head.weight.grad.clone(), head.bias.grad.clone()))
    return results


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 70), st.integers(1, 33), st.integers(2, 90), st.integers(1, 80), st.integers(0, 70))
def test_loss_and_gradients_equal_the_plain_ones(
    tokens: int, width: int, vocabulary: int, chunk: int, ignored: int
) -> None:
    plain, chunked = both(tokens, width, vocabulary, chunk, min(ignored, tokens))
    torch.testing.assert_close(chunked[0], plain[0], rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(chunked[1:], plain[1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_bf16_features_give_the_plain_loss_within_their_own_rounding() -> None:
    plain, chunked = both(64, 32, 300, 16, 0, torch.bfloat16)
    torch.testing.assert_close(chunked[0], plain[0], rtol=2e-2, atol=0)
    torch.testing.assert_close(chunked[2], plain[2], rtol=0, atol=2e-2)


PEAK = """
import resource, sys, torch
from training.loss import chunked_cross_entropy
torch.set_num_threads(1)
features = torch.randn(768, 16).requires_grad_()
head = torch.nn.Linear(16, 51200)
targets = torch.randint(0, 51200, (768,))
chunked_cross_entropy(features[:8], head, targets[:8], 8).backward()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if sys.argv[1] == "chunked":
    loss = chunked_cross_entropy(features, head, targets, 64)
else:
    loss = torch.nn.functional.cross_entropy(head(features), targets, reduction="sum")
loss.backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from Linux's getrusage")
def test_peak_memory_at_the_real_vocabulary_is_at_most_a_third() -> None:
    grown = {
        kind: int(subprocess.run([sys.executable, "-c", PEAK, kind], check=True, capture_output=True).stdout)
        for kind in ("plain", "chunked")
    }
    assert grown["chunked"] * 3 <= grown["plain"]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(2, 90), st.integers(0, 40))
def test_the_form_for_a_compiler_reads_what_the_form_in_place_reads(tokens: int, vocabulary: int, ignored: int) -> None:
    draw = torch.Generator().manual_seed(tokens)
    logits = 4 * torch.randn(tokens, vocabulary, generator=draw)
    targets = torch.randint(0, vocabulary, (tokens,), generator=draw)
    targets[:ignored] = IGNORED
    for fused, plain in zip(read_fused(logits.clone(), targets), read_in_place(logits, targets), strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-5)


def test_under_autocast_the_head_runs_in_its_dtype_and_the_sums_in_float32() -> None:
    draw = torch.Generator().manual_seed(0)
    features, head = torch.randn(48, 32, generator=draw).requires_grad_(), torch.nn.Linear(32, 200)
    targets = torch.randint(0, 200, (48,), generator=draw)
    plain = torch.nn.functional.cross_entropy(head(features), targets, reduction="sum")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = chunked_cross_entropy(features, head, targets, 16)
    loss.backward()
    assert loss.dtype == head.weight.grad.dtype == features.grad.dtype == torch.float32
    assert 0 < abs(loss.item() - plain.item()) < 2e-3 * plain.item()


@pytest.mark.parametrize("read", [read_in_place, read_fused])
def test_z_loss_acts_on_the_gradient_and_not_on_the_value(read: Any) -> None:
    draw = torch.Generator().manual_seed(0)
    logits = (torch.randn(9, 30, generator=draw) * 3).requires_grad_()
    targets = torch.randint(0, 30, (9,), generator=draw)
    targets[2] = IGNORED
    entropy = torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
    squares = torch.logsumexp(logits, dim=1).square()[targets != IGNORED].sum()
    (entropy + 0.01 * squares).backward()
    loss, gradient, columns = read(logits.detach().clone(), targets, 0.01)
    torch.testing.assert_close(loss, entropy.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient, logits.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(columns, logits.grad.sum(0), rtol=1e-4, atol=1e-4)
    assert 0.01 * squares.item() > 0.1


def test_a_head_without_a_bias() -> None:
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(7, 5, generator=draw).requires_grad_()
    head, targets = torch.nn.Linear(5, 11, bias=False), torch.randint(0, 11, (7,), generator=draw)
    chunked_cross_entropy(features, head, targets, 3).backward()
    gradients = [features.grad, head.weight.grad]
    features.grad = head.weight.grad = None
    torch.nn.functional.cross_entropy(head(features), targets, reduction="sum").backward()
    for ours, theirs in zip(gradients, (features.grad, head.weight.grad), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
