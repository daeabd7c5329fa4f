"""One seed makes two, the same ones for every setting."""

from normtest_tf.training.seeds import Seeds


def test_a_seed_always_splits_into_the_same_two():
    assert Seeds.split(223) == Seeds.split(223) == Seeds(436566333, 1139875137)


def test_all_seeds_differ_and_fit_31_bits():
    seeds = [Seeds.split(seed) for seed in (0, 1, 2, 2**32 - 1)]
    values = {value for pair in seeds for value in (pair.data, pair.model)}
    assert len(values) == 8
    assert all(0 <= value < 2**31 for value in values)
