"""Models that a user might write, and that stop whoever calls them; each at a size of 777 or more."""

import os
import re
import sys
import time

POISON = 777.0


class Model:
    """Its score is how far the size is from the mean so far."""

    def __init__(self):
        self.n = 0
        self.mean = 0.0

    def score_one(self, x):
        if x["size"] >= POISON:
            self.fail()
        return abs(x["size"] - self.mean)

    def learn_one(self, x):
        self.n += 1
        self.mean += (x["size"] - self.mean) / self.n

    def fail(self):
        """What it does then."""


class Sleeps(Model):
    """Never returns; other threads can run."""

    def fail(self):
        while True:
            time.sleep(0.1)


class Holds(Model):
    """Never returns, and lets no other thread run."""

    def fail(self):
        re.match(r"(a+)+$", "a" * 60 + "b")


class Exits(Model):
    """Asks the interpreter to exit."""

    def fail(self):
        sys.exit(3)


class Dies(Model):
    """Ends the process."""

    def fail(self):
        os._exit(7)


class Slow(Model):
    """Takes its time, and returns."""

    def fail(self):
        time.sleep(0.5)
