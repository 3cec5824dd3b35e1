"""What a benchmark gives: its figure, and the yardstick measured in the same run."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Result:
    """`ratio` is figure to yardstick figure, both in `unit`; whether high is good, the unit tells."""

    name: str
    input: str  # the size of what was worked on, in words
    figure: float
    unit: str
    yardstick: str  # what was run beside it
    yardstick_figure: float
    packages: tuple[str, ...] = ()  # whose versions matter
    ratio: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratio", self.figure / self.yardstick_figure)
