"""What a plan puts into a picture, as facts that can be checked against a dialogue."""

from stablellava.backends.adapters.openmoji.plan import Actor, Plan
from stablellava.core.sample import DrawnFact


def report_facts(plan: Plan) -> tuple[DrawnFact, ...]:
    """Return one fact per thing, property, relation and setting, each with the words that asked for it."""
    facts: list[DrawnFact] = []
    for actor in plan.actors:
        facts.extend(_actor_facts(actor))
    facts.extend(
        DrawnFact(kind="relation", name=relation.name, said=relation.said, subject=relation.subject.name)
        for relation in plan.relations
    )
    if plan.place is not None:
        facts.append(DrawnFact(kind="place", name=plan.place.name, said=plan.place.said))
    if plan.style is not None:
        facts.append(DrawnFact(kind="style", name=plan.style.name, said=plan.style.said))
    facts.extend(DrawnFact(kind="feature", name=feature.name, said=feature.said) for feature in plan.features)
    facts.extend(DrawnFact(kind="relation", name=manner.name, said=manner.said) for manner in plan.manners)
    return tuple(dict.fromkeys(facts))


def _actor_facts(actor: Actor) -> list[DrawnFact]:
    facts = [DrawnFact(kind="thing", name=actor.name, said=actor.mention.said)]
    if actor.color is not None:
        facts.append(DrawnFact(kind="color", name=actor.color.name, said=actor.color.said, subject=actor.name))
    if actor.size is not None:
        facts.append(DrawnFact(kind="feature", name=actor.size.name, said=actor.size.said, subject=actor.name))
    if actor.count is not None:
        facts.append(DrawnFact(kind="count", name=actor.count.name, said=actor.count.said, subject=actor.name))
    if actor.hair is not None:
        facts.append(DrawnFact(kind="hair", name=actor.hair.name, said=actor.hair.said, subject=actor.name))
    if actor.profession is not None:
        said = actor.profession.said
        facts.append(DrawnFact(kind="profession", name=actor.profession.name, said=said, subject=actor.name))
    if actor.action is not None:
        facts.append(DrawnFact(kind="action", name=actor.action.name, said=actor.action.said, subject=actor.name))
    return facts
