"""Next-token cross-entropy that never holds the logits of a whole batch.

With 51,200 rows in the head, the logits of 4 x 2048 tokens are 1.6 GiB in float32, and their
gradient as much again. Here the head runs over `chunk_tokens` tokens at a time and the gradients
are taken in the same sweep, so the peak is one chunk. Same loss, same gradients, not approximate.
Shape legend: N tokens (batch and time together), D width, V vocabulary.
"""

from typing import Any

import torch

IGNORED = -100  # a target that is not predicted (padding, a document's edge)


class _Chunked(torch.autograd.Function):
    """Loss and gradients chunk by chunk in forward; backward only scales them."""

    @staticmethod
    def forward(ctx: Any, features_ND: Any, weight_VD: Any, bias_V: Any, targets_N: Any, chunk: int) -> Any:
        total = torch.zeros((), dtype=torch.float32, device=features_ND.device)
        grad_features_ND = torch.empty_like(features_ND)
        grad_weight_VD = torch.zeros_like(weight_VD)
        grad_bias_V = torch.zeros_like(bias_V)
        reduced = features_ND.dtype
        weight, bias = weight_VD.to(reduced), bias_V.to(reduced)
        for start in range(0, len(features_ND), chunk):
            part_CD, targets_C = features_ND[start : start + chunk], targets_N[start : start + chunk]
            logits_CV = torch.addmm(bias, part_CD, weight.t()).float()
            kept_C = targets_C != IGNORED
            index_C1 = targets_C.clamp(min=0).unsqueeze(1)
            norm_C1 = torch.logsumexp(logits_CV, dim=1, keepdim=True)
            total += ((norm_C1 - logits_CV.gather(1, index_C1)).squeeze(1) * kept_C).sum()
            grad_CV = logits_CV.sub_(norm_C1).exp_()
            grad_CV.scatter_add_(1, index_C1, torch.full_like(norm_C1, -1.0))
            grad_CV.mul_(kept_C.unsqueeze(1))
            low_CV = grad_CV.to(reduced)
            grad_features_ND[start : start + chunk] = low_CV @ weight
            grad_weight_VD += low_CV.t() @ part_CD
            grad_bias_V += grad_CV.sum(0)
        ctx.save_for_backward(grad_features_ND, grad_weight_VD, grad_bias_V)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        features, weight, bias = ctx.saved_tensors
        grad = grads[0]
        return features * grad.to(features.dtype), weight * grad, bias * grad, None, None


def chunked_cross_entropy(
    features_ND: torch.Tensor, head: torch.nn.Linear, targets_N: torch.Tensor, chunk_tokens: int
) -> torch.Tensor:
    """Summed cross-entropy in nats of the head's prediction for each token that has a target.

    features_ND   what the head reads, float32 or bf16; the softmax runs in float32
    targets_N     token ids, IGNORED where nothing is predicted
    Returns       a scalar to divide by the number of targets and to call backward on
    """
    total: torch.Tensor = _Chunked.apply(features_ND, head.weight, head.bias, targets_N, chunk_tokens)  # type: ignore[no-untyped-call]
    return total


class NextToken(torch.nn.Module):
    """A Phi model with its loss in one forward, so that sharded head weights are whole inside it."""

    def __init__(self, phi: Any, chunk_tokens: int) -> None:
        super().__init__()
        self.phi, self.chunk_tokens = phi, chunk_tokens

    def forward(
        self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor, positions_BT: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Summed cross-entropy of a batch in nats; positions that restart hide one document from the next."""
        features_BTD = self.phi.model(input_ids=inputs_BT, position_ids=positions_BT, use_cache=False).last_hidden_state
        return chunked_cross_entropy(
            features_BTD.flatten(0, 1), self.phi.lm_head, targets_BT.flatten(), self.chunk_tokens
        )
