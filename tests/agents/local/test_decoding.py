import torch

from anabranch.agents.local.decoding import Chooser, Lookup, PrefixCache
from anabranch.agents.local.llama import Cache, Shape

SHAPE = Shape(layers=1, heads=1, kv_heads=1, head_dim=2, vocab=9, context=4096, eps=1e-5, rope_theta=1e4, tied=True)


def sequence(*tokens: int) -> Cache:
    cache = Cache(SHAPE, list(tokens))
    buffer = cache.reserve(len(tokens))
    buffer[0, 0, 0, : len(tokens), 0] = torch.tensor(tokens, dtype=torch.float32)
    return cache


def stored(cache: Cache) -> list[int]:
    return [int(value) for value in cache.reserve(len(cache.tokens))[0, 0, 0, : len(cache.tokens), 0]]


def test_lookup_follows_the_longest_and_latest_precedent() -> None:
    lookup = Lookup()
    assert lookup.guess() == []
    lookup.extend([1, 2, 3, 4, 5, 6, 9, 2, 3, 7, 8, 1, 2, 3])
    assert lookup.guess() == [4, 5, 6, 9, 2, 3, 7]
    lookup.extend([0, 2, 3])
    assert lookup.guess() == [0, 2, 3]


def test_lookup_without_a_precedent_guesses_nothing() -> None:
    lookup = Lookup()
    lookup.extend([1, 2, 3, 4])
    assert lookup.guess() == []


def test_a_prefix_is_reused_in_place() -> None:
    prefixes = PrefixCache(SHAPE)
    first = sequence(1, 2, 3, 4, 5)
    prefixes.put(None, first)
    taken = prefixes.take(None, [1, 2, 3, 4, 9, 9])
    assert taken is first
    assert taken.tokens == [1, 2, 3, 4]


def test_a_prompt_that_is_known_as_a_whole_leaves_its_last_token_to_be_read() -> None:
    prefixes = PrefixCache(SHAPE)
    prefixes.put(None, sequence(1, 2, 3))
    assert prefixes.take(None, [1, 2, 3]).tokens == [1, 2]


def test_a_short_prefix_is_copied_and_the_long_sequence_kept() -> None:
    prefixes = PrefixCache(SHAPE)
    long = sequence(*range(1, 9))
    prefixes.put(None, long)
    taken = prefixes.take(None, [1, 2, 9, 9])
    assert taken is not long
    assert stored(taken) == [1, 2]
    assert stored(long) == list(range(1, 9))
    prefixes.put(None, taken)
    assert prefixes.take(None, [*range(1, 9), 0]) is long


def test_adapters_do_not_share_prefixes() -> None:
    prefixes = PrefixCache(SHAPE)
    prefixes.put("a", sequence(1, 2, 3))
    assert prefixes.take(None, [1, 2, 3, 4]).tokens == []
    assert prefixes.take("a", [1, 2, 3, 4]).tokens == [1, 2, 3]


def test_the_sequences_unused_for_longest_are_forgotten() -> None:
    prefixes = PrefixCache(SHAPE, sequences=2, positions=100)
    for token in (1, 2, 3):
        prefixes.put(None, sequence(token, 0, 0))
    assert prefixes.take(None, [1, 0, 0]).tokens == []
    assert prefixes.take(None, [3, 0, 0]).tokens == [3, 0]


def test_long_sequences_push_out_others_but_stay_themselves() -> None:
    prefixes = PrefixCache(SHAPE, sequences=4, positions=10)
    prefixes.put(None, sequence(1, 0, 0))
    prefixes.put(None, sequence(*range(100, 120)))
    assert prefixes.take(None, [1, 0, 0]).tokens == []
    assert len(prefixes.take(None, list(range(100, 120))).tokens) == 19


def test_the_most_probable_token_is_chosen_without_a_temperature() -> None:
    assert Chooser(None, 0.0, None).choose(torch.tensor([0.1, 2.0, 1.9])) == 1


def test_drawing_repeats_with_a_seed_and_follows_the_probabilities() -> None:
    logits = torch.tensor([2.0, 2.0, -20.0])
    one = [Chooser(None, 1.0, seed).choose(logits) for seed in range(50)]
    assert one == [Chooser(None, 1.0, seed).choose(logits) for seed in range(50)]
    assert set(one) == {0, 1}
