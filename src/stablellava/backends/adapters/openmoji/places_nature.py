"""Backdrops out of doors without buildings."""

from stablellava.backends.adapters.openmoji.canvas import Canvas
from stablellava.backends.adapters.openmoji.colors import darken, lighten


def draw_beach(c: Canvas) -> None:
    """Draw sand before the sea."""
    horizon = c.vary(0.4, 0.48)
    c.sky(horizon)
    c.clouds(2)
    c.gradient(horizon, 0.66, c.tint("#2f8fc4"), c.tint("#7fd3dc"))
    c.waves(9, horizon + 0.03, 0.6, (235, 248, 252))
    sand = c.tint("#f0dca5", 0.05)
    c.hills(0.68, 0.05, lighten(sand, 0.6), waves=0.8)
    c.hills(0.7, 0.05, sand, waves=0.8)
    for _ in range(25):
        c.oval(c.vary(0, 1), c.vary(0.72, 1), 0.006, 0.003, darken(sand, 0.12))
    if c.rng.random() < 0.5:
        c.palm(c.rng.choice((0.08, 0.92)), 0.76, c.vary(0.4, 0.5))


def draw_forest(c: Canvas) -> None:
    """Draw three rows of trees."""
    c.gradient(0, 0.7, c.tint("#a9d6b4"), c.tint("#dcecc0"))
    for depth, (color, number, size) in enumerate((("#8dbf8b", 9, 0.5), ("#5f9f61", 8, 0.6), ("#3b7d44", 6, 0.75))):
        for step in range(number):
            x = (step + c.vary(0.1, 0.9)) / number
            draw_tree = c.fir if c.rng.random() < 0.5 else c.round_tree
            if depth == 2 and 0.25 < x < 0.75:
                continue
            draw_tree(x, 0.64 + 0.05 * depth, size * c.vary(0.8, 1.1), c.tint(color))
    ground = c.tint("#6d9a46")
    c.hills(0.74, 0.05, ground)
    c.grass(40, 0.75, darken(ground, 0.2))


def draw_jungle(c: Canvas) -> None:
    """Draw palms, trunks and hanging vines."""
    c.gradient(0, 0.75, c.tint("#6fb07a"), c.tint("#b8dc8a"))
    for step in range(6):
        x = (step + c.vary(0.2, 0.8)) / 6
        c.rect(x - 0.015, 0, x + 0.015, 0.75, c.tint("#3f6b45"))
    for step in range(8):
        c.palm((step + 0.5) / 8 + c.vary(-0.04, 0.04), 0.78, c.vary(0.35, 0.7))
    for _ in range(10):
        x, size = c.vary(0, 1), c.vary(0.08, 0.16)
        c.line([(x, 0), (x + c.vary(-0.03, 0.03), size), (x, 2.2 * size)], c.tint("#2f7a3a"), 0.01)
    c.hills(0.79, 0.06, c.tint("#3f8a3c"))
    c.grass(70, 0.78, c.tint("#2a6a2f"))


def draw_desert(c: Canvas) -> None:
    """Draw dunes under the sun."""
    c.sky(0.62, "#8fcdf0", "#fdeec9")
    c.disc(c.vary(0.12, 0.88), c.vary(0.1, 0.2), 0.06, (255, 236, 150))
    c.hills(0.62, 0.14, c.tint("#e8bf77"), waves=1.0)
    c.hills(0.72, 0.12, c.tint("#dfae60"), waves=0.8)
    sand = c.tint("#edc57d")
    c.hills(0.8, 0.08, sand, waves=0.6)
    for _ in range(6):
        y = c.vary(0.82, 0.98)
        x = c.vary(0, 0.8)
        c.line([(x, y), (x + 0.1, y - 0.01), (x + 0.2, y)], darken(sand, 0.1), 0.005)


def draw_snow(c: Canvas) -> None:
    """Draw white hills and firs."""
    c.sky(0.6, "#a8c8e6", "#eef4fa")
    c.hills(0.6, 0.12, c.tint("#c9d9ea"))
    for step in range(7):
        x = (step + c.vary(0.1, 0.9)) / 7
        size = c.vary(0.2, 0.34)
        c.fir(x, 0.66, size, c.tint("#4d7d70"))
        c.poly([(x - 0.12 * size, 0.66 - 0.84 * size), (x + 0.12 * size, 0.66 - 0.84 * size),
                (x, 0.66 - 1.1 * size)], (250, 252, 255))  # fmt: skip
    c.hills(0.72, 0.07, c.tint("#eef3f9", 0.02))
    c.hills(0.84, 0.06, (250, 252, 255))
    for _ in range(30):
        c.disc(c.vary(0, 1), c.vary(0, 0.9), c.vary(0.003, 0.008), (255, 255, 255))


def draw_sea(c: Canvas) -> None:
    """Draw open water to the horizon."""
    horizon = c.vary(0.4, 0.48)
    c.sky(horizon)
    c.clouds(3)
    c.gradient(horizon, 1, c.tint("#2f86bd"), c.tint("#1c5f96"))
    c.waves(26, horizon + 0.04, 0.98, (190, 225, 242))


def draw_underwater(c: Canvas) -> None:
    """Draw blue depth with light, weed and bubbles."""
    c.gradient(0, 1, c.tint("#58bfe0"), c.tint("#0f4f86"))
    for _ in range(4):
        x, width = c.vary(0, 1), c.vary(0.03, 0.07)
        c.poly([(x, 0), (x + width, 0), (x + width - 0.16, 0.75), (x - 0.3, 0.75)], c.tint("#63bfe0", 0.05))
    c.hills(0.94, 0.08, c.tint("#d9c58d"))
    for _ in range(9):
        x, height = c.vary(0, 1), c.vary(0.1, 0.22)
        points = [(x + 0.015 * (-1) ** step, 0.97 - height * step / 5) for step in range(6)]
        c.line(points, c.tint("#2f8a5b"), 0.014)
    for _ in range(16):
        c.disc(c.vary(0, 1), c.vary(0.05, 0.85), c.vary(0.004, 0.012), (205, 238, 250))


def draw_aquarium(c: Canvas) -> None:
    """Draw water behind a frame and glass."""
    draw_underwater(c)
    frame = c.tint("#4a4f57")
    for left, top, right, bottom in ((0, 0, 1, 0.05), (0, 0.94, 1, 1), (0, 0, 0.035, 1), (0.965, 0, 1, 1)):
        c.rect(left, top, right, bottom, frame)
    c.line([(0.08, 0.3), (0.2, 0.1)], (225, 244, 252), 0.012)
    c.line([(0.08, 0.42), (0.26, 0.12)], (225, 244, 252), 0.006)


def draw_sky(c: Canvas) -> None:
    """Draw blue air and clouds."""
    c.gradient(0, 1, c.tint("#4fa5e0", 0.12), c.tint("#cfeafa"))
    for _ in range(5):
        c.cloud(c.vary(0, 1), c.vary(0.1, 0.95), c.vary(0.05, 0.1), c.tint("#ffffff", 0.03))
    c.cloud(0.2, 1.0, 0.14, (255, 255, 255))
    c.cloud(0.75, 1.02, 0.16, (250, 252, 255))


def draw_space(c: Canvas) -> None:
    """Draw stars and planets."""
    c.gradient(0, 1, c.tint("#0b0d2a", 0.05), c.tint("#2a1c4f", 0.1))
    c.stars(90)
    c.disc(c.vary(0.1, 0.3), c.vary(0.1, 0.25), c.vary(0.05, 0.09), c.tint("#d28a5a"))
    c.disc(c.vary(0.78, 0.92), c.vary(0.1, 0.4), c.vary(0.03, 0.06), c.tint("#8ab6d6"))
    c.oval(c.vary(0.3, 0.7), 1.22, 0.8, 0.32, c.tint("#4a5f9a"))


def draw_mountain(c: Canvas) -> None:
    """Draw three snowy peaks behind grass."""
    c.sky(0.65)
    c.clouds(2, 0.06, 0.16)
    for step, (x, peak) in enumerate(((0.15, 0.26), (0.85, 0.22), (0.5, 0.14))):
        x, peak = x + c.vary(-0.08, 0.08), peak + c.vary(-0.03, 0.05)
        rock = c.tint(("#8d9bb0", "#7f8da3", "#6f7d94")[step])
        half = c.vary(0.36, 0.46)
        c.poly([(x - half, 0.72), (x, peak), (x + half, 0.72)], rock)
        c.poly([(x, peak), (x + half, 0.72), (x + 0.1 * half, 0.72)], darken(rock, 0.12))
        snow = [(x - 0.26 * half, peak + 0.15), (x, peak), (x + 0.26 * half, peak + 0.15),
                (x + 0.1 * half, peak + 0.12), (x, peak + 0.17), (x - 0.12 * half, peak + 0.12)]  # fmt: skip
        c.poly(snow, (248, 250, 255))
    c.hills(0.72, 0.06, c.tint("#7fa85f"))
    ground = c.tint("#92b868")
    c.hills(0.82, 0.06, ground)
    c.grass(30, 0.84, darken(ground, 0.18))


def draw_meadow(c: Canvas) -> None:
    """Draw green hills with small flowers."""
    c.sky(0.55)
    c.clouds(3)
    c.hills(0.58, 0.12, c.tint("#a9cc72"))
    c.hills(0.68, 0.09, c.tint("#8fbf58"))
    ground = c.tint("#7db04a")
    c.hills(0.78, 0.06, ground)
    c.grass(60, 0.76, darken(ground, 0.2))
    for _ in range(22):
        c.disc(c.vary(0, 1), c.vary(0.74, 0.99), 0.006, c.rng.choice(((255, 255, 255), (255, 224, 120))))


def draw_garden(c: Canvas) -> None:
    """Draw a hedge, a fence and flower beds."""
    c.sky(0.5)
    c.clouds(1)
    hedge = c.tint("#4f8f45")
    c.rect(0, 0.42, 1, 0.66, hedge)
    for step in range(14):
        c.disc(step / 13, 0.43, 0.05, c.tint("#569a4a", 0.06))
    fence = c.tint("#fbfbf5", 0.03)
    for step in range(15):
        x = step / 14
        c.poly([(x - 0.018, 0.72), (x - 0.018, 0.55), (x, 0.52), (x + 0.018, 0.55), (x + 0.018, 0.72)], fence)
    c.rect(0, 0.59, 1, 0.615, fence)
    ground = c.tint("#8cc05a")
    c.rect(0, 0.7, 1, 1, ground)
    for _ in range(26):
        x, y = c.vary(0, 1), c.vary(0.7, 0.78)
        color = c.rng.choice(("#f2829b", "#ffd84d", "#c58be0", "#ff9a5c"))
        c.line([(x, y), (x, y + 0.03)], (70, 130, 60), 0.005)
        c.disc(x, y, 0.011, c.tint(color))
    c.grass(30, 0.8, darken(ground, 0.18))


def draw_river(c: Canvas) -> None:
    """Draw water winding through a meadow."""
    draw_meadow(c)
    water = c.tint("#58aedb")
    c.poly([(0.36, 0.6), (0.46, 0.6), (0.7, 0.74), (0.36, 0.84), (0.5, 1), (-0.1, 1), (0.12, 0.84), (0.4, 0.74)], water)
    c.waves(10, 0.7, 0.98, lighten(water, 0.4))


def draw_lake(c: Canvas) -> None:
    """Draw still water before hills."""
    c.sky(0.5)
    c.clouds(2)
    c.hills(0.52, 0.16, c.tint("#7fa58a"))
    c.hills(0.54, 0.07, c.tint("#5f8f5f"))
    c.gradient(0.52, 0.8, c.tint("#8cc8e6"), c.tint("#3f8fc0"))
    c.waves(14, 0.56, 0.78, (220, 240, 250))
    ground = c.tint("#8ab85a")
    c.hills(0.84, 0.06, ground, waves=0.7)
    c.grass(36, 0.84, darken(ground, 0.2))


def draw_ice(c: Canvas) -> None:
    """Draw floating ice."""
    c.sky(0.45, "#9cc9ea", "#eaf5fb")
    c.gradient(0.45, 1, c.tint("#3d84b4"), c.tint("#2a6796"))
    for x, size in ((c.vary(0.1, 0.3), 0.3), (c.vary(0.65, 0.9), 0.38)):
        c.poly([(x - 0.6 * size, 0.52), (x - 0.25 * size, 0.52 - 0.8 * size), (x + 0.1 * size, 0.52 - size),
                (x + 0.6 * size, 0.52)], c.tint("#e6f2f9", 0.03))  # fmt: skip
        c.poly([(x + 0.1 * size, 0.52 - size), (x + 0.6 * size, 0.52), (x + 0.15 * size, 0.52)], c.tint("#bcdcee"))
    c.poly([(0.02, 0.86), (0.2, 0.76), (0.8, 0.75), (0.98, 0.84), (0.84, 0.97), (0.16, 0.98)], (246, 250, 253))
    c.poly([(0.16, 0.98), (0.84, 0.97), (0.98, 0.84), (0.98, 0.88), (0.85, 1), (0.16, 1)], (178, 212, 232))


def draw_volcanic(c: Canvas) -> None:
    """Draw dark ground under a red sky."""
    c.gradient(0, 0.75, c.tint("#6c4a63"), c.tint("#f0a070"))
    c.hills(0.74, 0.1, c.tint("#5b4a4a"))
    ground = c.tint("#4c4140")
    c.hills(0.82, 0.06, ground)
    for _ in range(14):
        c.oval(c.vary(0, 1), c.vary(0.82, 1), 0.03, 0.012, darken(ground, 0.2))
