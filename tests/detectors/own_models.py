"""Models as a user might write them, good and bad."""

import random
import sys

from river import stats


class Distance:
    """How far a is from its mean so far."""

    def __init__(self, power=1):
        self.power = power
        self.n = 0
        self.mean = 0.0

    def score_one(self, x):
        return abs(x["a"] - self.mean) ** self.power

    def learn_one(self, x):
        self.n += 1
        self.mean += (x["a"] - self.mean) / self.n


class CountsQuestions(Distance):
    """Scoring changes it."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def score_one(self, x):
        self.asked += 1
        return float(self.asked)


class Raises(Distance):
    def score_one(self, x):
        if x["a"] > 100:
            raise KeyError("b\nand more")
        return super().score_one(x)


class RaisesInLearning(Distance):
    def learn_one(self, x):
        if x["a"] > 100:
            raise ZeroDivisionError
        super().learn_one(x)


class Panics(Distance):
    def score_one(self, x):
        if x["a"] > 100:
            stats.RollingQuantile(0.5, 5).update(float("nan"))
        return super().score_one(x)


class Exits(Distance):
    def score_one(self, x):
        if x["a"] > 100:
            sys.exit(3)
        return super().score_one(x)


class GivesUp(Distance):
    def learn_one(self, x):
        if x["a"] > 100:
            raise GeneratorExit
        super().learn_one(x)


class HasNoWords(Distance):
    class SilentError(Exception):
        def __str__(self):
            raise ValueError

    def score_one(self, x):
        if x["a"] > 100:
            raise self.SilentError
        return super().score_one(x)


class Interrupts(Distance):
    def score_one(self, x):
        if x["a"] > 100:
            raise KeyboardInterrupt
        return super().score_one(x)


class Says(Distance):
    def __init__(self, what):
        super().__init__()
        self.what = what

    def score_one(self, x):
        return {"nan": float("nan"), "inf": float("inf"), "text": "high", "none": None, "bool": True}[
            self.what
        ]


class NotYet(Distance):
    """Cannot score before it has learnt five rows."""

    def score_one(self, x):
        if self.n < 5:
            raise RuntimeError("not fitted")
        return super().score_one(x)


class Dice(Distance):
    def score_one(self, x):
        return random.random()


class Seeded(Distance):
    def __init__(self, seed=None):
        super().__init__()
        self.seed = seed
        self.rng = random.Random(seed)

    def score_one(self, x):
        return super().score_one(x) + self.rng.random()


class HidesChance(Distance):
    """A part that a constructor makes by itself, without a seed."""

    def __init__(self):
        super().__init__()
        self.part = Seeded()

    def score_one(self, x):
        return self.part.score_one(x)


class KeepsASet(Distance):
    def __init__(self):
        super().__init__()
        self.names = set()

    def learn_one(self, x):
        self.names.update(x)
        super().learn_one(x)


class CannotBeKept(Distance):
    def __init__(self):
        super().__init__()
        self.of = lambda x: x["a"]


class NoDetector:
    def learn_one(self, x):
        pass


def a_function(x):
    return 0.0


class KeepsAFunction(Distance):
    """It can be pickled until it has seen something unusual."""

    def learn_one(self, x):
        super().learn_one(x)
        if x["a"] > 100:
            self.kept = lambda: 0


class ComesNotBack(Distance):
    def learn_one(self, x):
        super().learn_one(x)
        if x["a"] > 100:
            self.seen = True

    def __setstate__(self, state):
        if state.get("seen"):
            raise RuntimeError("cannot come back")
        self.__dict__.update(state)


class HasOddWords(Distance):
    def score_one(self, x):
        if x["a"] > 100:
            raise OSError("\x1b[2J no \udc80 é")
        return super().score_one(x)


class CopiedAFewTimes(Distance):
    """Copies of it beyond a number fail, as where each takes a file or a connection."""

    copies, most = 0, 4

    def __setstate__(self, state):
        CopiedAFewTimes.copies += 1
        if CopiedAFewTimes.copies > self.most:
            raise OSError("too many open files")
        self.__dict__.update(state)
