"""From prompt text to a plan of the picture.

Phrases are separated by commas. The emphasised phrase (the first, when none is) has to be understood
word by word, or the prompt is refused; of the others, what is not understood is ignored and said so.
"""

import re

from stablellava.backends.adapters.openmoji.colors import Rgb, mix
from stablellava.backends.adapters.openmoji.lexicon import Entry, Lexicon, load_lexicon
from stablellava.backends.adapters.openmoji.plan import Actor, Mention, Plan, Relation
from stablellava.backends.adapters.openmoji.segmenting import Segment, segment
from stablellava.core.matching import split_words

_BREAK = re.compile(r"[,;.|\n]+")
_PLURAL_NUMBER = 3


def parse_prompt(text: str, emphasis: tuple[str, ...] = ()) -> Plan:
    """Return what the text asks for; ``refused`` is set when a decisive phrase is not drawable."""
    known = split_words(text)
    missing = [phrase for phrase in emphasis if _find_run(known, split_words(phrase)) < 0]
    phrases = [part for part in (*missing, *_BREAK.split(text)) if split_words(part)]
    reader = _Reader(load_lexicon())
    for phrase in phrases:
        reader.read(phrase)
    plan = reader.finish()
    decisive = emphasis or tuple(phrases[:1])
    plan.refused = next((phrase for phrase in decisive if not reader.understood(phrase)), "")
    if plan.is_empty and not plan.refused:
        plan.refused = decisive[0] if decisive else text
    return plan


def _find_run(words: list[str], run: list[str]) -> int:
    """Return where exactly these words stand, or -1; unlike core.matching, no other forms of them count."""
    starts = range(len(words) - len(run) + 1) if run else range(0)
    return next((start for start in starts if words[start : start + len(run)] == run), -1)


class _Reader:
    """Collects a plan phrase by phrase."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self.plan = Plan()
        self.words: list[str] = []
        self.is_understood: list[bool] = []
        self.loose_action: Mention | None = None
        self.loose_hair: Mention | None = None
        self.lone_persons: list[Actor] = []

    def understood(self, phrase: str) -> bool:
        words = split_words(phrase)
        start = _find_run(self.words, words)
        return start >= 0 and all(self.is_understood[start : start + len(words)])

    def read(self, phrase: str) -> None:
        words = split_words(phrase)
        segments = segment(words, self.lexicon)
        sentence = _Phrase(self, words, segments)
        for index, item in enumerate(segments):
            sentence.take(item, index)
        sentence.close()
        self.words.extend(words)
        for item in segments:
            self.is_understood.extend([item.start not in sentence.lost] * len(item.words))
        lost = [item.said for item in segments if item.start in sentence.lost or item.kind == "harmless"]
        meaning = [item for item in segments if item.kind != "filler"]
        self.plan.ignored.extend([" ".join(words)] if len(lost) == len(meaning) else lost)

    def finish(self) -> Plan:
        """Give actions, hair and professions that stood alone to the persons they belong to."""
        plan = self.plan
        workers = [actor for actor in plan.actors if actor.profession is not None]
        for person in self.lone_persons:
            if workers and person.profession is None:
                workers[0].mention = person.mention
                plan.actors.remove(person)
                break
        for attribute, mention in (("action", self.loose_action), ("hair", self.loose_hair)):
            if mention is None:
                continue
            bearer = self._find_bearer(attribute)
            if bearer is None:
                bearer = Actor(Mention("person", mention.said), is_person=True)
                plan.actors.insert(0, bearer)
            setattr(bearer, attribute, mention)
        self._drop_hidden()
        return plan

    def _drop_hidden(self) -> None:
        """Take back what no picture of a person shows: work hides action and hair, action hides hair."""
        for actor in self.plan.actors:
            if actor.profession is not None and actor.action is not None:
                self._take_back(actor.action)
                actor.action = None
            if actor.hair is not None and (actor.profession is not None or actor.action is not None):
                self._take_back(actor.hair)
                actor.hair = None
            if actor.is_person and actor.color is not None:
                self._take_back(actor.color)
                actor.color = None

    def _take_back(self, mention: Mention) -> None:
        words = split_words(mention.said)
        start = _find_run(self.words, words)
        self.is_understood[start : start + len(words)] = [False] * len(words)
        self.plan.ignored.append(mention.said)

    def _find_bearer(self, attribute: str) -> Actor | None:
        persons = [actor for actor in self.plan.actors if actor.is_person]
        if persons:
            return persons[0]
        if attribute != "action" or self.loose_action is None:
            return None
        action = self.loose_action.name
        return next((actor for actor in self.plan.actors if self.can_do(actor, action)), None)

    def can_do(self, actor: Actor, action: str) -> bool:
        """Tell whether the actor can be shown at it: persons always, animals where something tells it."""
        if actor.is_person:
            return True
        return self.lexicon.things[actor.name].category == "animals" and "animal" in self.lexicon.actions[action]


class _Phrase:
    """Reads the segments of one phrase from left to right."""

    def __init__(self, reader: _Reader, words: list[str], segments: list[Segment]) -> None:
        self.reader = reader
        self.plan = reader.plan
        self.words = words
        self.segments = segments
        self.actors: list[Actor] = []
        self.color: Segment | None = None
        self.shade: Segment | None = None
        self.count: Segment | None = None
        self.size: Segment | None = None
        self.relation: Segment | None = None
        self.lost: set[int] = set()
        """Starts of the segments that leave no trace."""

    def take(self, item: Segment, index: int) -> None:
        entry = item.entry
        if entry is None:
            self.lost.add(item.start)
        elif entry.kind in ("thing", "person", "profession"):
            self._add_actor(item, entry)
        elif entry.kind == "color":
            self.color = item
        elif entry.kind == "shade":
            self._take_shade(item, index)
        elif entry.kind == "count":
            self.count = item
        elif entry.kind == "size":
            self.size = item
        elif entry.kind == "relation":
            self.relation = item
        elif entry.kind not in ("filler", "harmless"):
            self._take_setting(item, entry)

    def _take_shade(self, item: Segment, index: int) -> None:
        follower = self.segments[index + 1].kind if index + 1 < len(self.segments) else None
        if follower == "color":
            self.shade = item
        else:
            self.lost.add(item.start)

    def _take_setting(self, item: Segment, entry: Entry) -> None:
        mention = Mention(entry.name, item.said)
        if entry.kind == "place":
            self._set_place(item, mention)
        elif entry.kind == "style":
            self.plan.style = self.plan.style or mention
            if self.plan.style != mention:
                self.lost.add(item.start)
        elif entry.kind == "feature":
            self.plan.features.append(mention)
        elif entry.kind == "manner":
            self.plan.manners.append(mention)
        elif entry.kind == "action":
            self._set_action(item, mention)
        elif self.actors and self.actors[-1].is_person:
            self.actors[-1].hair = mention
        else:
            self.reader.loose_hair = mention

    def _set_place(self, item: Segment, mention: Mention) -> None:
        earlier = self.plan.place
        if earlier is not None and earlier.name != mention.name:
            if self.relation is None or self.actors or earlier.name not in self.reader.lexicon.things:
                self.lost.add(item.start)
                return
            self.plan.actors.insert(0, Actor(earlier))
        self.plan.place = mention
        if self.relation is not None and self.relation.entry is not None and self.actors:
            said = self._said_from(self.actors[0], item)
            self.plan.relations.append(Relation(self.relation.entry.name, said, self.actors[0]))
        self.relation = None

    def _set_action(self, item: Segment, mention: Mention) -> None:
        doers = [actor for actor in self.actors if self.reader.can_do(actor, mention.name)]
        if self.actors and not doers:
            self.lost.add(item.start)
            return
        if doers:
            if doers[0].action is not None:
                self.lost.add(item.start)
            doers[0].action = doers[0].action or mention
        elif self.reader.loose_action is None:
            self.reader.loose_action = mention
        else:
            self.lost.add(item.start)

    def _add_actor(self, item: Segment, entry: Entry) -> None:
        actor = Actor(Mention(entry.name, item.said), is_person=entry.kind != "thing")
        persons = self.reader.lexicon.persons
        if entry.kind == "profession":
            actor.profession = actor.mention
            actor.mention = Mention("person", item.said)
        elif entry.kind == "person":
            actor.number = int(persons[entry.name].get("number", 1))
        if self.count is not None and self.count.entry is not None:
            actor.number = self.reader.lexicon.counts[self.count.entry.name]
            actor.count = Mention(self.count.entry.name, f"{self.count.said} {item.said}")
        elif entry.is_plural:
            actor.number = _PLURAL_NUMBER
        self._apply_color(actor)
        self._read_own_color(actor, item)
        if self.size is not None and self.size.entry is not None:
            actor.size = Mention(self.size.entry.name, f"{self.size.said} {item.said}")
        if self.relation is not None and self.relation.entry is not None and self.actors:
            subject = self.actors[-1]
            said = self._said_from(subject, item)
            self.plan.relations.append(Relation(self.relation.entry.name, said, subject, actor))
        elif entry.kind == "person" and not self.actors:
            self.reader.lone_persons.append(actor)
        self.relation = self.count = self.size = None
        self.actors.append(actor)
        self.plan.actors.append(actor)

    def _apply_color(self, actor: Actor) -> None:
        if self.color is None or self.color.entry is None:
            return
        said = f"{self.shade.said} {self.color.said}" if self.shade else self.color.said
        actor.color = Mention(self.color.entry.name, f"{said} {actor.mention.said}")
        actor.rgb = self._mix_color(self.color.entry.name)
        self.color = self.shade = None

    def _read_own_color(self, actor: Actor, item: Segment) -> None:
        """Take the color out of a name that holds it ("red apple"); recolor where the bare name is the same thing."""
        first, rest = item.words[:1], item.words[1:]
        color = next((entry for entry in self.reader.lexicon.lookup(first) if entry.kind == "color"), None)
        bare = next((entry for entry in self.reader.lexicon.lookup(rest) if entry.kind == "thing"), None)
        if actor.is_person or actor.color is not None or color is None or bare is None:
            return
        actor.color = Mention(color.name, item.said)
        if bare.name == actor.name:
            actor.rgb = self.reader.lexicon.colors[color.name]

    def _mix_color(self, name: str) -> Rgb:
        rgb = self.reader.lexicon.colors[name]
        share = self.reader.lexicon.shades[self.shade.said] if self.shade else 0.0
        return mix(rgb, (255, 255, 255) if share > 0 else (0, 0, 0), abs(share))

    def _said_from(self, subject: Actor, last: Segment) -> str:
        """Return the words from the subject's first to the segment's last."""
        start = _find_run(self.words, split_words(subject.mention.said))
        return " ".join(self.words[max(start, 0) : last.start + len(last.words)])

    def close(self) -> None:
        """Give a trailing color to the last actor ("a car that is red"); what is left over is lost."""
        if self.color is not None and self.actors and self.actors[-1].color is None:
            self._apply_color(self.actors[-1])
        for left in (self.color, self.shade, self.count, self.size):
            if left is not None:
                self.lost.add(left.start)
