"""Building SVG with every value escaped."""

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(tag: str, *children: str | Markup, **attributes: object) -> Markup:
    """Return one element; ``class_`` is the class, underscores in names become hyphens.

    Plain strings among the children and all attribute values are escaped; ``view_box`` is the only name
    SVG spells in camel case here. Attributes that are None are left out.
    """
    rendered = Markup("").join(
        Markup(' {}="{}"').format(_attribute_name(name), _number(value))
        for name, value in attributes.items()
        if value is not None
    )
    return Markup("<{tag}{attributes}>{children}</{tag}>").format(tag=tag, attributes=rendered, children=join(children))


def figure(width: float, height: float, label: str, children: Iterable[str | Markup], class_: str) -> Markup:
    """Return a scalable drawing that a screen reader announces by its label."""
    return element(
        "svg",
        *children,
        view_box=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=label,
        class_=class_,
        xmlns="http://www.w3.org/2000/svg",
    )


def join(parts: Iterable[str | Markup]) -> Markup:
    """Concatenate, escaping what is not markup yet."""
    return Markup("").join(escape(part) for part in parts)


def points(coordinates: Iterable[tuple[float, float]]) -> str:
    """Return coordinates as polygons and polylines take them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in coordinates)


def _attribute_name(name: str) -> str:
    return "viewBox" if name == "view_box" else name.rstrip("_").replace("_", "-")


def _number(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value
