"""The checks that a run's settings ask for beside the built-in ones."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stablellava.backends.calling import ChatCalls
from stablellava.backends.catalog import build_backend, list_backends
from stablellava.backends.protocols import ChatModel
from stablellava.backends.remembering import RememberingChat
from stablellava.backends.response_cache import CACHE_FILE, ResponseCache
from stablellava.config.verifying import CheckSettings, VerifySettings
from stablellava.core.chat import ChatFailure, ChatReply, ChatRequest
from stablellava.core.errors import ConfigError
from stablellava.core.sample import Verdict
from stablellava.core.suggesting import suggest_name
from stablellava.filters.base import Candidate, Check, PictureCheck
from stablellava.filters.blank_image import NotBlank
from stablellava.filters.boilerplate import NoBoilerplate
from stablellava.filters.image_text_score import ImageTextScore
from stablellava.filters.keyword_in_prompt import KeywordInPrompt
from stablellava.filters.language import InLanguage
from stablellava.filters.picture_judge import PictureJudge
from stablellava.filters.pixel_agreement import AgreementModel, PixelAgreement
from stablellava.filters.safe_picture import SafePicture
from stablellava.filters.text_length import TextLength
from stablellava.filters.unsafe_prompt import SafePrompt
from stablellava.store.assets import cache_dir
from stablellava.store.images import image_path

_OF_TEXT: dict[str, type[Any]] = {
    "safe_prompt": SafePrompt,
    "keyword_in_prompt": KeywordInPrompt,
    "boilerplate": NoBoilerplate,
    "length": TextLength,
    "language": InLanguage,
}


_EXAMPLES = {
    "image_text": "{backend: image-text}",
    "safe_picture": "{backend: image-classifier}",
    "judge": "{backend: openai, options: {...}}",
}


_TAKES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_OF_TEXT, ("options",)),
    "not_blank": (),
    "pixels": ("options", "threshold", "thresholds"),
    "image_text": ("backend", "threshold", "thresholds"),
    "safe_picture": ("backend", "options", "threshold", "thresholds"),
    "judge": ("backend", "options"),
}
"""What can be said of each check beside its name."""


_KIND_OF_BACKEND = {"image_text": "scorer", "safe_picture": "classifier", "judge": "chat"}


@dataclass(frozen=True)
class Looked:
    """What the picture checks said of one candidate, up to the first refusal."""

    verdicts: tuple[Verdict, ...]
    refusing: PictureCheck | None


class FurtherChecks:
    """Built once per process.

    Args:
        settings: None asks for nothing.
        data_dir: where the stored pictures lie.

    Raises: ConfigError naming the check and what it lacks; BackendMissing, RecordError (a fitted check's file).
    """

    def __init__(self, settings: VerifySettings | None, data_dir: Path) -> None:
        wanted = settings.checks if settings else ()
        refuse_bad_settings(wanted)
        self._opened = ExitStack()
        self._data_dir = data_dir
        self._drop_unscored = bool(settings and settings.drop_unscored)
        self.of_text: tuple[Check, ...] = tuple(_build_of_text(check) for check in wanted if check.check in _OF_TEXT)
        self._of_picture = tuple(self._build_of_picture(check) for check in wanted if check.check not in _OF_TEXT)

    def look(self, candidates: Sequence[Candidate]) -> list[Looked]:
        """Return what the picture checks say of each candidate; the cheapest are to be named first.

        Raises: BackendFailed when a scorer or judge cannot be asked at all.
        """
        verdicts: list[list[Verdict]] = [[] for _ in candidates]
        refusing: list[PictureCheck | None] = [None] * len(candidates)
        standing = list(range(len(candidates)))
        images = [self._read(candidate) for candidate in candidates] if self._of_picture else []
        for check in self._of_picture:
            judged = check.judge_all([candidates[i] for i in standing], [images[i] for i in standing])
            for index, verdict in zip(standing, judged, strict=True):
                verdicts[index].append(self._hold_to_score(verdict))
                if not verdicts[index][-1].kept:
                    refusing[index] = check
            standing = [index for index in standing if refusing[index] is None]
        return [Looked(tuple(own), check) for own, check in zip(verdicts, refusing, strict=True)]

    def close(self) -> None:
        """Let go of judges' connections and of the answers kept."""
        self._opened.close()

    def _build_of_picture(self, settings: CheckSettings) -> PictureCheck:
        if settings.check == "not_blank":
            return NotBlank()
        if settings.check == "pixels":
            return _build_pixels(settings)
        assert settings.backend is not None
        if settings.check == "image_text":
            scorer = build_backend("scorer", settings.backend.backend, settings.backend.options)
            return ImageTextScore(scorer, settings.threshold, settings.thresholds)
        if settings.check == "safe_picture":
            classifier = build_backend("classifier", settings.backend.backend, settings.backend.options)
            built: PictureCheck = _with_options(
                settings, partial(SafePicture, classifier, settings.threshold, settings.thresholds)
            )
            return built
        ask_all = _AskAll(build_backend("chat", settings.backend.backend, settings.backend.options))
        self._opened.callback(ask_all.close)
        judge: PictureCheck = _with_options(settings, partial(PictureJudge, ask_all))
        return judge

    def _hold_to_score(self, verdict: Verdict) -> Verdict:
        is_unscored = verdict.kept and verdict.score is None and verdict.detail.startswith("unscored")
        if is_unscored and self._drop_unscored:
            return verdict.model_copy(update={"kept": False, "reason": f"{verdict.filter_name}_unscored"})
        return verdict

    def _read(self, candidate: Candidate) -> tuple[bytes, ...]:
        return tuple(image_path(self._data_dir, painting.sha256).read_bytes() for painting in candidate.paintings)


def refuse_bad_settings(checks: Sequence[CheckSettings]) -> None:
    """Raise ConfigError naming the check and what it lacks, or must not have; nothing is built or loaded."""
    for settings in checks:
        name, kind = settings.check, _KIND_OF_BACKEND.get(settings.check)
        for field in ("backend", "options", "threshold", "thresholds"):
            if field not in _TAKES[name] and getattr(settings, field) not in (None, {}):
                raise ConfigError(f"check {name!r} takes no {field}, only {', '.join(_TAKES[name]) or 'its name'}")
        if name == "pixels" and (set(settings.options) != {"model"} or settings.threshold is None):
            raise ConfigError(
                "check 'pixels' needs options.model, no other option, and a threshold; "
                "'stablellava calibrate' fits the one and picks the other"
            )
        if kind is None:
            continue
        if settings.backend is None:
            raise ConfigError(f"check {name!r} needs a backend, such as {_EXAMPLES[name]}")
        known = [key.partition(".")[2] for key in list_backends() if key.startswith(f"{kind}.")]
        if settings.backend.backend not in known:
            hint = suggest_name(settings.backend.backend, known)
            raise ConfigError(f"check {name!r}: no {kind} named {settings.backend.backend!r}. {hint}")


def _build_of_text(settings: CheckSettings) -> Check:
    built: Check = _with_options(settings, _OF_TEXT[settings.check])
    return built


def _build_pixels(settings: CheckSettings) -> PictureCheck:
    assert settings.threshold is not None
    model = AgreementModel.load(Path(settings.options["model"]))
    reader = build_backend("features", "efficientnet-lite0")
    return PixelAgreement(model, reader, settings.threshold, settings.thresholds)


def _with_options(settings: CheckSettings, build: Any) -> Any:
    try:
        return build(**settings.options)
    except TypeError as exc:
        raise ConfigError(f"check {settings.check!r} does not take these options: {exc}") from exc


class _AskAll:
    """Asks a chat model many requests at once; answers are kept, so that a resumed run pays for none twice."""

    def __init__(self, chat: ChatModel) -> None:
        self._cache = ResponseCache(cache_dir() / CACHE_FILE)
        self._chat = RememberingChat(chat, self._cache)
        self._calls: ChatCalls[ChatReply | ChatFailure] = ChatCalls(self._chat)

    def __call__(self, requests: Sequence[ChatRequest]) -> list[ChatReply | ChatFailure]:
        return self._calls.run([partial(self._chat.ask, request) for request in requests])

    def close(self) -> None:
        self._calls.close()
        self._cache.close()
