"""The pickles of models by slot: whatever grows, moves and goes, each is given back as it was."""

import random

import numpy as np
import pytest

from detectors.models.pickle_arena import PickleArena, pickles_in
from detectors.slot_arrays import StateMismatchError


def bytes_of(model):
    return model


def put(arena, models, *slots):
    for slot in slots:
        arena.touch(slot)
    arena.update(models, bytes_of)


def in_state(arena):
    return [blob.tobytes() for blob in pickles_in(arena.state())]


@pytest.mark.parametrize("restored", [False, True], ids=["running", "restored each time"])
def test_models_that_grow_beside_an_emptied_slot_come_back(restored):
    arena, models = PickleArena(), [b"a" * 256, b"b" * 4_000, b"c" * 64]
    put(arena, models)
    models[2] = None
    put(arena, models, 2)
    for at in range(60):
        models[0] = b"a" * (300 + 40 * at)
        put(arena, models, 0)
        assert in_state(arena) == [model or b"" for model in models], at
        if restored:
            arena = PickleArena.of({name: array.copy() for name, array in arena.state().items()})


@pytest.mark.parametrize("seed", range(3))
def test_whatever_models_do_each_comes_back(seed):
    chance = random.Random(seed)
    arena, models = PickleArena(), [None] * 3
    for at in range(300):
        models += [None] * chance.randrange(2) * (len(models) < 9)
        slots = chance.sample(range(len(models)), 2)
        for slot in slots:
            size = chance.choice([0, 1, 64, 65, 900, 40 * at + 1])
            models[slot] = chance.randbytes(size) if size else None
        put(arena, models, *slots)
        assert in_state(arena) == [model or b"" for model in models], at
        if chance.random() < 0.2:
            arena = PickleArena.of({name: array.copy() for name, array in arena.state().items()})


def test_a_start_without_a_pickle_does_not_count():
    """As a checkpoint can hold it that was written before such starts were taken back."""
    state = {"starts": [0, 900], "lengths": [3, 0], "pickles": np.frombuffer(b"abc", np.uint8)}
    given = {name: np.asarray(array) for name, array in state.items()}
    assert [blob.tobytes() for blob in pickles_in(given)] == [b"abc", b""]
    for damage in ({"starts": np.array([1, 0])}, {"starts": np.array([0])}):
        with pytest.raises(StateMismatchError, match="incomplete"):
            pickles_in({**given, **damage})
