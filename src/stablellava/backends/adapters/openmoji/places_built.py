"""Backdrops that people made: rooms, streets, farms."""

from stablellava.backends.adapters.openmoji.canvas import Canvas
from stablellava.backends.adapters.openmoji.colors import Rgb, darken, lighten


def _room(c: Canvas, wall: str, floor: str, edge: float = 0.68, boards: bool = True) -> None:
    upper = c.tint(wall)
    c.gradient(0, edge, lighten(upper, 0.08), upper)
    lower = c.tint(floor)
    c.gradient(edge, 1, darken(lower, 0.08), lower)
    c.rect(0, edge - 0.02, 1, edge, lighten(upper, 0.5))
    if boards:
        for x in (-0.3, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3):
            c.line([(0.5 + (x - 0.5) * 0.7, edge), (0.5 + (x - 0.5) * 1.4, 1)], darken(lower, 0.14), 0.004)


def _window(c: Canvas, x: float, y: float, width: float, height: float, outside: str = "#bfe3f5") -> None:
    c.rect(x, y, x + width, y + height, (250, 250, 246))
    c.rect(x + 0.015, y + 0.015, x + width - 0.015, y + height - 0.015, c.tint(outside))
    c.rect(x + width / 2 - 0.006, y, x + width / 2 + 0.006, y + height, (250, 250, 246))
    c.rect(x, y + height / 2 - 0.006, x + width, y + height / 2 + 0.006, (250, 250, 246))


def draw_kitchen(c: Canvas) -> None:
    """Draw cupboards, tiles and a counter."""
    _room(c, "#f6e8cf", "#d9b98c", boards=False)
    for column in range(12):
        for row in range(3):
            c.rect(column / 12 + 0.003, 0.33 + row * 0.07, (column + 1) / 12 - 0.003, 0.395 + row * 0.07,
                   c.tint("#f2f6f5", 0.04))  # fmt: skip
    front = c.tint(c.rng.choice(("#7fa6a0", "#c98e5f", "#8fa9c9", "#e0c06a")))
    for left, right in ((0.0, 0.24), (0.24, 0.46), (0.7, 0.98)):
        c.rect(left + 0.01, 0.03, right - 0.01, 0.28, front)
        c.rect(left + 0.03, 0.06, right - 0.03, 0.25, lighten(front, 0.15))
    c.rect(0.5, 0.05, 0.66, 0.12, c.tint("#b9bdc2"))
    c.poly([(0.54, 0.12), (0.62, 0.12), (0.68, 0.24), (0.48, 0.24)], c.tint("#a5aab0"))
    c.rect(0, 0.54, 1, 0.575, c.tint("#8a6a4a"))
    for step in range(5):
        c.rect(step / 5 + 0.006, 0.575, (step + 1) / 5 - 0.006, 0.76, front)
        c.rect(step / 5 + 0.07, 0.6, step / 5 + 0.13, 0.612, darken(front, 0.4))
    tile = c.tint("#e3d2b5")
    c.rect(0, 0.76, 1, 1, tile)
    for step in range(7):
        c.line([(0.5 + (step / 6 - 0.5) * 1.1, 0.76), (0.5 + (step / 6 - 0.5) * 1.8, 1)], darken(tile, 0.1), 0.005)
    c.line([(0, 0.86), (1, 0.86)], darken(tile, 0.1), 0.005)


def draw_office(c: Canvas) -> None:
    """Draw desks with screens and a chart."""
    _room(c, "#dfe6ea", "#a9b3b8", boards=False)
    for step in range(2):
        _window(c, 0.08 + step * 0.3, 0.1, 0.26, 0.3)
        for tower in range(3):
            left = 0.1 + step * 0.3 + tower * 0.075
            c.rect(left, c.vary(0.2, 0.3), left + 0.06, 0.385, c.tint("#8fa3b5"))
    c.rect(0.7, 0.14, 0.94, 0.34, (252, 252, 252))
    for step in range(5):
        c.rect(0.73 + step * 0.04, 0.31 - c.vary(0.03, 0.13), 0.755 + step * 0.04, 0.31, c.tint("#5b93c7"))
    desk = c.tint("#b98f62")
    c.rect(0.03, 0.55, 0.97, 0.585, desk)
    for x in (0.06, 0.36, 0.62, 0.91):
        c.rect(x, 0.585, x + 0.03, 0.78, darken(desk, 0.2))
    for x in (0.12, 0.68):
        c.rect(x, 0.4, x + 0.2, 0.52, (52, 58, 66))
        c.rect(x + 0.012, 0.415, x + 0.188, 0.505, c.tint("#8fc4e6"))
        c.rect(x + 0.085, 0.52, x + 0.115, 0.55, (52, 58, 66))


def draw_living_room(c: Canvas) -> None:
    """Draw a couch, a window and a rug."""
    _room(c, c.rng.choice(("#e9d8c4", "#d5e0d3", "#e7d2d2", "#d3dbe8")), "#b98d62")
    _window(c, 0.06, 0.1, 0.3, 0.34)
    curtain = c.tint("#c97b6b")
    c.poly([(0.03, 0.07), (0.12, 0.07), (0.07, 0.5), (0.03, 0.5)], curtain)
    c.poly([(0.39, 0.07), (0.3, 0.07), (0.35, 0.5), (0.39, 0.5)], curtain)
    couch = c.tint(c.rng.choice(("#5f87a8", "#7d9a6a", "#b5676a", "#8a78a8")))
    c.rect(0.46, 0.44, 0.98, 0.7, couch, radius=0.04)
    c.rect(0.5, 0.55, 0.94, 0.68, lighten(couch, 0.12), radius=0.03)
    c.rect(0.43, 0.52, 0.5, 0.73, darken(couch, 0.1), radius=0.03)
    c.rect(0.94, 0.52, 1.01, 0.73, darken(couch, 0.1), radius=0.03)
    c.rect(0.56, 0.12, 0.78, 0.3, c.tint("#7b5a3c"))
    c.rect(0.58, 0.14, 0.76, 0.28, c.tint("#a9d0c8"))
    c.oval(0.5, 0.88, 0.42, 0.1, c.tint("#d9a679"))
    c.oval(0.5, 0.88, 0.36, 0.08, c.tint("#e8c39c"))


def draw_bedroom(c: Canvas) -> None:
    """Draw a bed, a night table and a window."""
    _room(c, c.rng.choice(("#d7d9ec", "#ecdbe2", "#dbe9ec")), "#c69c72")
    _window(c, 0.08, 0.1, 0.26, 0.3)
    wood = c.tint("#8f6742")
    c.rect(0.44, 0.32, 1.0, 0.62, wood, radius=0.03)
    sheet = c.tint(c.rng.choice(("#8fb3d9", "#c99bb5", "#a3c49a")))
    c.rect(0.44, 0.52, 1.02, 0.76, sheet, radius=0.03)
    c.rect(0.47, 0.46, 0.7, 0.56, (250, 250, 250), radius=0.03)
    c.rect(0.74, 0.46, 0.97, 0.56, (250, 250, 250), radius=0.03)
    c.rect(0.44, 0.7, 1.02, 0.78, darken(sheet, 0.15))
    c.rect(0.24, 0.52, 0.4, 0.74, wood)
    c.poly([(0.28, 0.4), (0.36, 0.4), (0.39, 0.48), (0.25, 0.48)], c.tint("#fbe7a8"))
    c.rect(0.312, 0.48, 0.328, 0.52, darken(wood, 0.3))
    c.oval(0.42, 0.92, 0.36, 0.07, c.tint("#efe3d0"))


def draw_classroom(c: Canvas) -> None:
    """Draw a blackboard and desks."""
    _room(c, "#f1ead2", "#c9a271")
    c.rect(0.14, 0.1, 0.86, 0.46, c.tint("#9a6f45"))
    c.rect(0.16, 0.12, 0.84, 0.44, c.tint("#2f5d4a", 0.05))
    for row in range(3):
        y = 0.19 + row * 0.08
        points = [(0.22 + step * 0.03, y + c.vary(-0.012, 0.012)) for step in range(c.rng.randint(8, 14))]
        c.line(points, (215, 228, 220), 0.006)
    c.rect(0.3, 0.455, 0.7, 0.47, c.tint("#b98a5a"))
    for x in (0.02, 0.74):
        desk = c.tint("#d3a868")
        c.rect(x, 0.6, x + 0.24, 0.64, desk)
        c.rect(x + 0.02, 0.64, x + 0.04, 0.8, darken(desk, 0.3))
        c.rect(x + 0.2, 0.64, x + 0.22, 0.8, darken(desk, 0.3))


def draw_stage(c: Canvas) -> None:
    """Draw curtains, light cones and boards."""
    c.gradient(0, 0.75, c.tint("#2a1430", 0.05), c.tint("#5b2a4a"))
    for x in (0.25, 0.5, 0.75):
        lean = c.vary(-0.12, 0.12)
        c.poly([(x - 0.02, 0), (x + 0.02, 0), (x + lean + 0.16, 0.76), (x + lean - 0.16, 0.76)], c.tint("#8a5a78", 0.1))
    drape = c.tint("#b02734")
    for side in (0, 1):
        for fold in range(4):
            left = fold * 0.055 if side == 0 else 1 - (fold + 1) * 0.055
            c.rect(left, 0, left + 0.055, 0.8, drape if fold % 2 else darken(drape, 0.18))
    for step in range(6):
        c.oval((step + 0.5) / 6, 0.02, 0.1, 0.11, drape if step % 2 else darken(drape, 0.12))
    floor = c.tint("#b07a45")
    c.gradient(0.75, 1, darken(floor, 0.15), floor)
    for step in range(8):
        c.line([(0.5 + (step / 7 - 0.5) * 1.1, 0.75), (0.5 + (step / 7 - 0.5) * 1.9, 1)], darken(floor, 0.25), 0.005)
    c.oval(0.5, 0.89, 0.36, 0.08, lighten(floor, 0.25))


def _houses(c: Canvas, base: float, low: float, high: float, colors: tuple[str, ...], lit: bool) -> None:
    left = -0.02
    while left < 1:
        width, top = c.vary(0.13, 0.2), base - c.vary(low, high)
        wall = c.tint(c.rng.choice(colors))
        c.rect(left, top, left + width, base, wall)
        _facade(c, left, top, width, base, wall, lit)
        left += width


def _facade(c: Canvas, left: float, top: float, width: float, base: float, wall: Rgb, lit: bool) -> None:
    columns = 3
    rows = max(2, int((base - top) / 0.085))
    for row in range(rows):
        for column in range(columns):
            x = left + width * (column + 0.5) / columns
            y = top + 0.03 + row * 0.08
            pane = lighten(wall, 0.55)
            if lit:
                pane = (255, 222, 120) if c.rng.random() < 0.55 else lighten(wall, 0.12)
            c.rect(x - 0.014, y, x + 0.014, y + 0.036, pane)


def draw_street(c: Canvas) -> None:
    """Draw houses along a road."""
    c.sky(0.65)
    c.clouds(2, 0.04, 0.14)
    _houses(c, 0.68, 0.3, 0.52, ("#d98e6a", "#c9b08a", "#a8b8a0", "#b5746a", "#d6c19a", "#8fa5b8"), lit=False)
    c.rect(0, 0.68, 1, 0.76, c.tint("#c4c0b8"))
    c.gradient(0.76, 1, c.tint("#6f7276", 0.05), c.tint("#7d8085", 0.05))
    for step in range(5):
        c.rect(step / 4 - 0.06, 0.975, step / 4 + 0.06, 0.99, (240, 236, 215))
    c.line([(0, 0.762), (1, 0.762)], (150, 148, 142), 0.01)


def draw_night_city(c: Canvas) -> None:
    """Draw lit windows under the moon."""
    c.gradient(0, 0.7, c.tint("#0f1738", 0.05), c.tint("#43386e"))
    c.stars(40, 0.35)
    c.disc(c.vary(0.1, 0.9), c.vary(0.08, 0.16), 0.045, (250, 243, 208))
    _houses(c, 0.72, 0.34, 0.6, ("#232a4f", "#2c2f5a", "#1d2547", "#343464"), lit=True)
    c.rect(0, 0.72, 1, 0.78, c.tint("#3b3d55"))
    c.gradient(0.78, 1, c.tint("#2a2c3d"), c.tint("#383a4e"))
    for x in (0.08, 0.92):
        c.rect(x - 0.006, 0.5, x + 0.006, 0.78, (70, 72, 90))
        c.disc(x, 0.49, 0.025, (255, 233, 158))
    for step in range(5):
        c.rect(step / 4 - 0.06, 0.975, step / 4 + 0.06, 0.99, (214, 204, 150))


def draw_farm(c: Canvas) -> None:
    """Draw a barn, a fence and a field."""
    c.sky(0.58)
    c.clouds(2)
    c.hills(0.62, 0.1, c.tint("#b7cf7a"))
    x = c.rng.choice((0.16, 0.84))
    barn = c.tint("#b5372f")
    c.rect(x - 0.14, 0.42, x + 0.14, 0.66, barn)
    c.poly([(x - 0.16, 0.43), (x - 0.09, 0.31), (x + 0.09, 0.31), (x + 0.16, 0.43)], darken(barn, 0.35))
    c.rect(x - 0.06, 0.52, x + 0.06, 0.66, (245, 240, 230))
    c.line([(x - 0.06, 0.52), (x + 0.06, 0.66)], barn, 0.012)
    c.line([(x + 0.06, 0.52), (x - 0.06, 0.66)], barn, 0.012)
    c.hills(0.7, 0.04, c.tint("#d9c65e"))
    wood = c.tint("#a47b4f")
    for step in range(9):
        c.rect(step / 8 - 0.01, 0.6, step / 8 + 0.01, 0.74, wood)
    c.rect(0, 0.63, 1, 0.65, wood)
    c.rect(0, 0.68, 1, 0.7, wood)
    ground = c.tint("#93b85a")
    c.hills(0.78, 0.04, ground)
    c.grass(40, 0.78, darken(ground, 0.2))


def draw_park(c: Canvas) -> None:
    """Draw trees, a path and a bench."""
    c.sky(0.55)
    c.clouds(2)
    c.hills(0.58, 0.06, c.tint("#8fc06a"))
    for x in (0.1, 0.3, 0.72, 0.92):
        c.round_tree(x + c.vary(-0.04, 0.04), 0.64, c.vary(0.32, 0.44), c.tint("#5f9f4c"))
    ground = c.tint("#90c263")
    c.rect(0, 0.64, 1, 1, ground)
    c.poly([(0.44, 0.64), (0.54, 0.64), (0.86, 1), (0.2, 1)], c.tint("#dcc79a"))
    c.rect(0.62, 0.6, 0.82, 0.625, c.tint("#8a5f3a"))
    c.rect(0.62, 0.655, 0.82, 0.675, c.tint("#8a5f3a"))
    for x in (0.64, 0.79):
        c.rect(x, 0.6, x + 0.012, 0.72, (70, 70, 70))
    c.grass(30, 0.7, darken(ground, 0.18))


def draw_market(c: Canvas) -> None:
    """Draw stalls with striped roofs."""
    c.sky(0.5, "#9fd0ee", "#f4f1dd")
    _houses(c, 0.5, 0.14, 0.28, ("#d8b48a", "#c99a75", "#e0cba0"), lit=False)
    ground = c.tint("#cfb894")
    c.rect(0, 0.5, 1, 1, ground)
    for stall in range(3):
        left = 0.02 + stall * 0.33
        color = c.tint(("#d9534a", "#4f9a62", "#4b83c4")[stall])
        for stripe in range(6):
            x = left + stripe * 0.05
            c.poly([(x + 0.01, 0.24), (x + 0.05, 0.24), (x + 0.055, 0.37), (x, 0.37)],
                   color if stripe % 2 == 0 else (252, 248, 240))  # fmt: skip
        c.rect(left + 0.01, 0.37, left + 0.025, 0.72, c.tint("#8a6642"))
        c.rect(left + 0.275, 0.37, left + 0.29, 0.72, c.tint("#8a6642"))
        c.rect(left, 0.58, left + 0.3, 0.72, c.tint("#a97c50"))
        for step in range(7):
            hue = c.rng.choice(("#e2574c", "#f2b134", "#7dbb4e", "#f08a3c", "#a05a9c"))
            c.disc(left + 0.03 + step * 0.04, 0.575, 0.022, c.tint(hue))
    for _ in range(30):
        c.oval(c.vary(0, 1), c.vary(0.75, 1), 0.03, 0.01, c.tint("#c4ac86", 0.06))


def draw_harbor(c: Canvas) -> None:
    """Draw houses, boats and a jetty."""
    c.sky(0.48)
    c.clouds(2)
    _houses(c, 0.5, 0.08, 0.2, ("#d98e6a", "#e0c99a", "#a8bcc4", "#c97b6b"), lit=False)
    c.gradient(0.5, 1, c.tint("#3f8fb8"), c.tint("#27668f"))
    for x in (0.12, 0.85):
        c.poly([(x - 0.08, 0.58), (x + 0.08, 0.58), (x + 0.05, 0.62), (x - 0.05, 0.62)], c.tint("#f4f4f0", 0.03))
        c.line([(x, 0.58), (x, 0.36)], (110, 84, 60), 0.008)
        c.poly([(x + 0.008, 0.38), (x + 0.008, 0.56), (x + 0.09, 0.56)], c.tint("#f7f3e6", 0.03))
    c.waves(14, 0.6, 0.98, (205, 232, 244))
    wood = c.tint("#a9825a")
    c.rect(0, 0.88, 1, 0.99, wood)
    for step in range(11):
        c.line([(step / 10, 0.88), (step / 10, 0.99)], darken(wood, 0.2), 0.005)


def draw_hall(c: Canvas) -> None:
    """Draw a large bright room for sights that are indoors."""
    _room(c, "#e6e2da", "#c8b08a")
    for step in range(4):
        x = 0.08 + step * 0.26
        c.rect(x, 0.05, x + 0.05, 0.66, c.tint("#d2cbbd"))
        c.rect(x - 0.012, 0.05, x + 0.062, 0.08, c.tint("#c2b9a8"))


def draw_alley(c: Canvas) -> None:
    """Draw bowling lanes."""
    c.gradient(0, 0.55, c.tint("#2e3358"), c.tint("#4f4f86"))
    floor = c.tint("#d8a868")
    c.rect(0, 0.55, 1, 1, floor)
    for step in range(8):
        c.line([(0.5 + (step / 7 - 0.5) * 0.5, 0.55), (0.5 + (step / 7 - 0.5) * 2.2, 1)], darken(floor, 0.2), 0.006)
    c.rect(0.2, 0.38, 0.8, 0.55, c.tint("#1f2238"))
    for step in range(7):
        c.oval(0.3 + step * 0.066, 0.51, 0.014, 0.04, (250, 250, 250))
        c.rect(0.292 + step * 0.066, 0.485, 0.308 + step * 0.066, 0.495, (214, 60, 50))


def draw_backdrop(c: Canvas) -> None:
    """Draw a plain studio wall, where no place is asked for."""
    color = c.rng.choice(("#dfe8ee", "#efe6d8", "#e4ecdf", "#ece2ea", "#e6e6ee"))
    upper = c.tint(color)
    c.gradient(0, 0.72, lighten(upper, 0.4), upper)
    c.gradient(0.72, 1, darken(upper, 0.1), lighten(upper, 0.15))
