"""The golden answers that are left beside an adapter: models/golden.py compares them when it is loaded."""

import torch

from models.base import LoadedBase
from models.golden import Golden
from models.prompt import encode_example, encode_prompt
from training.forms import Conversation

_COUNT = 4
_LONGEST = 256  # tokens: they are read at each start of the app


@torch.no_grad()
def golden(model: torch.nn.Module, base: LoadedBase, conversations: list[Conversation]) -> list[Golden]:
    """How likely the trained model finds the last answers of the first few short conversations.

    Of those that it learned from: where it is sure, rounding matters little and a wrong base a lot.
    """
    found: list[Golden] = []
    training = model.training
    model.eval()
    for conversation in conversations:
        *before, last = conversation.messages
        example = encode_example(base.tokenizer, conversation.messages)
        ids, mask = example.ids, example.mask
        start = len(encode_prompt(base.tokenizer, before))
        if len(ids) > _LONGEST or last.role != "assistant":
            continue
        scores = (
            model(input_ids=torch.tensor([ids], device=base.device)).logits[0, :-1].float().log_softmax(-1)
        )
        learned = [at for at in range(start, len(ids)) if mask[at]]
        logprob = sum(float(scores[at - 1, ids[at]]) for at in learned) / len(learned)
        found.append(Golden(messages=tuple(before), answer=last.content, logprob=round(logprob, 4)))
        if len(found) == _COUNT:
            break
    model.train(training)
    return found
