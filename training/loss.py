"""Next-token cross-entropy that never holds the logits of a whole batch.

With 51,200 rows in the head, the logits of 4 x 2048 tokens take 1.6 GiB in float32, and their
gradient as much again. Here the head runs over `chunk_tokens` tokens at a time and computes the gradients
in the same pass, so the peak is one chunk. Loss and gradients are exact.
Shape legend: N tokens (batch and time together), D width, V vocabulary.
"""

import functools
from typing import Any

import torch

IGNORED = -100  # target of a position that is not predicted (padding, a document's edge)


class _Chunked(torch.autograd.Function):
    """Computes loss and gradients chunk by chunk in forward; backward only scales them."""

    @staticmethod
    def forward(
        ctx: Any, features_ND: Any, weight_VD: Any, bias_V: Any, targets_N: Any, chunk: int, compiled: bool,
        z_loss: float,
    ) -> Any:  # fmt: skip
        kind = features_ND.device.type
        # cast once a batch: autocast would cast the head again for every product
        low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else features_ND.dtype
        read = _compiled() if compiled else read_in_place
        total = torch.zeros((), dtype=torch.float32, device=features_ND.device)
        grad_features_ND = torch.empty_like(features_ND)
        grad_weight_VD = torch.zeros_like(weight_VD)
        grad_bias_V = None if bias_V is None else torch.zeros_like(bias_V)
        weight, bias = weight_VD.to(low), None if bias_V is None else bias_V.to(low)
        with torch.autocast(kind, enabled=False):
            for start in range(0, len(features_ND), chunk):
                part_CD, targets_C = features_ND[start : start + chunk].to(low), targets_N[start : start + chunk]
                logits_CV = part_CD @ weight.t() if bias is None else torch.addmm(bias, part_CD, weight.t())
                loss, grad_CV, column_V = read(logits_CV, targets_C, z_loss)
                total += loss
                grad_features_ND[start : start + chunk] = grad_CV @ weight
                grad_weight_VD += grad_CV.t() @ part_CD
                if grad_bias_V is not None:
                    grad_bias_V += column_V
        ctx.save_for_backward(grad_features_ND, grad_weight_VD, grad_bias_V)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        features, weight, bias = ctx.saved_tensors
        grad = grads[0]
        grad_bias = None if bias is None else bias * grad
        return features * grad.to(features.dtype), weight * grad, grad_bias, None, None, None, None


def read_in_place(logits_CV: torch.Tensor, targets_C: torch.Tensor, z_loss: float = 0.0) -> tuple[torch.Tensor, ...]:
    """A chunk's summed loss, its gradient with respect to the logits, and that gradient's column sums; in float32.

    Works operation by operation in one buffer and overwrites the logits.
    z_loss  weight of log(sum of the softmax)^2 in the gradient: 2 z log(sum) softmax; the loss leaves it out
    """
    wide_CV = logits_CV.float()
    kept_C = targets_C != IGNORED
    index_C1 = targets_C.clamp(min=0).unsqueeze(1)
    norm_C1 = torch.logsumexp(wide_CV, dim=1, keepdim=True)
    loss = ((norm_C1 - wide_CV.gather(1, index_C1)).squeeze(1) * kept_C).sum()
    grad_CV = wide_CV.sub_(norm_C1).exp_()
    if z_loss:
        grad_CV.mul_(1.0 + 2.0 * z_loss * norm_C1)
    grad_CV.scatter_add_(1, index_C1, torch.full_like(norm_C1, -1.0))
    grad_CV.mul_(kept_C.unsqueeze(1))
    return loss, grad_CV.to(logits_CV.dtype), grad_CV.sum(0)


def read_fused(logits_CV: torch.Tensor, targets_C: torch.Tensor, z_loss: float = 0.0) -> tuple[torch.Tensor, ...]:
    """The same as `read_in_place`, in a form that a compiler fuses into two passes over the logits, not ten."""
    wide_CV = logits_CV.float()
    kept_C1 = (targets_C != IGNORED).unsqueeze(1)
    index_C1 = targets_C.clamp(min=0).unsqueeze(1)
    norm_C1 = torch.logsumexp(wide_CV, dim=1, keepdim=True)
    loss = ((norm_C1 - wide_CV.gather(1, index_C1)) * kept_C1).sum()
    is_target_CV = torch.arange(wide_CV.shape[1], device=wide_CV.device) == index_C1
    softmax_CV = (wide_CV - norm_C1).exp()
    if z_loss:
        softmax_CV = softmax_CV * (1.0 + 2.0 * z_loss * norm_C1)
    grad_CV = ((softmax_CV - is_target_CV.float()) * kept_C1).to(logits_CV.dtype)
    return loss, grad_CV, grad_CV.sum(0, dtype=torch.float32)


@functools.cache
def _compiled() -> Any:
    return torch.compile(read_fused, dynamic=False)


def chunked_cross_entropy(
    features_ND: torch.Tensor, head: torch.nn.Linear, targets_N: torch.Tensor, chunk_tokens: int,
    compiled: bool = False, z_loss: float = 0.0,
) -> torch.Tensor:  # fmt: skip
    """The summed cross-entropy, in nats, of the head's predictions for all tokens that have a target.

    features_ND   the head's input, float32 or bf16 (under autocast its dtype); the softmax runs in float32
    targets_N     token ids, IGNORED for positions that are not predicted
    compiled      compute the softmax and its gradient in two fused passes; for a GPU
    z_loss        weight of the squared logarithm of the softmax's sum (PaLM, arXiv:2204.02311, section 5); it acts on
                  the gradient and is left out of the value, so that losses stay comparable
    Returns       a scalar; divide it by the number of targets and call backward on it
    """
    arguments = (features_ND, head.weight, head.bias, targets_N, chunk_tokens, compiled, z_loss)
    total: torch.Tensor = _Chunked.apply(*arguments)  # type: ignore[no-untyped-call]
    return total


class NextToken(torch.nn.Module):
    """A Phi model and its loss in one module, so that FSDP gathers the head's weights for the loss."""

    def __init__(self, phi: Any, chunk_tokens: int, compiled: bool = False, z_loss: float = 0.0) -> None:
        super().__init__()
        self.phi, self.chunk_tokens, self.compiled, self.z_loss = phi, chunk_tokens, compiled, z_loss

    def forward(
        self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor, positions_BT: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The summed cross-entropy of a batch in nats; positions that restart separate the documents."""
        features_BTD = self.phi.model(input_ids=inputs_BT, position_ids=positions_BT, use_cache=False).last_hidden_state
        return chunked_cross_entropy(
            features_BTD.flatten(0, 1), self.phi.lm_head, targets_BT.flatten(), self.chunk_tokens, self.compiled,
            self.z_loss,
        )  # fmt: skip
