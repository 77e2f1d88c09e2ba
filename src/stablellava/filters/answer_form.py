"""Is the dialogue whole: two speakers in turn, nothing empty, every picture shown once?"""

from stablellava.core.sample import Verdict
from stablellava.filters.base import Candidate


class AnswerForm:
    """Refuses: no_turns, turns_out_of_order, empty_turn, images_mismatch."""

    name = "answer_form"
    is_cured_by_repainting = False

    def judge(self, candidate: Candidate) -> Verdict:
        turns = candidate.draft.turns
        if not turns:
            return self._refuse("no_turns", "")
        expected = ("user", "assistant")
        if len(turns) % 2 or any(turn.speaker != expected[index % 2] for index, turn in enumerate(turns)):
            return self._refuse("turns_out_of_order", " ".join(turn.speaker for turn in turns))
        for index, turn in enumerate(turns):
            if not turn.text.strip():
                return self._refuse("empty_turn", f"turn {index + 1} of the {turn.speaker}")
        shown = [image for turn in turns for image in turn.images]
        if sorted(shown) != list(range(candidate.num_images)):
            return self._refuse("images_mismatch", f"shown {shown}, there are {candidate.num_images}")
        if any(turn.images for turn in turns if turn.speaker == "assistant"):
            return self._refuse("images_mismatch", "a picture stands in an answer")
        return Verdict(filter_name=self.name, kept=True)

    def _refuse(self, reason: str, detail: str) -> Verdict:
        return Verdict(filter_name=self.name, kept=False, reason=reason, detail=detail)
