from __future__ import annotations

import math

from support.line_figures import ALL, STRANGERS, Moment, Worst, hertz, peak_over_claim, peak_over_granted

CLAIMS = [Moment(0, {"a": 4, "b": 6}), Moment(10, {"a": 2, "b": 6}), Moment(20, {"a": 2, "b": 8})]


def test_the_worst_sample_is_found_with_its_service_and_its_claim():
    samples = [Moment(5, {"a": 4, "b": 3}), Moment(15, {"a": 3, "b": 1}), Moment(25, {"a": 1, "b": 8})]
    assert peak_over_claim(samples, CLAIMS) == Worst(1.5, "a", 3, 2, 15)


def test_all_together_can_be_over_the_line_while_no_service_is():
    worst = peak_over_claim([Moment(5, {"a": 4, "b": 6, STRANGERS: 5})], CLAIMS)
    assert worst == Worst(1.5, ALL, 15, 10, 5)


def test_a_claim_counts_a_little_longer_and_a_little_earlier_than_it_was_read():
    assert peak_over_claim([Moment(10.4, {"a": 4})], CLAIMS).ratio == 1
    assert peak_over_claim([Moment(10.6, {"a": 4})], CLAIMS).ratio == 2
    assert peak_over_claim([Moment(19.6, {"b": 8})], CLAIMS).ratio == 1
    assert peak_over_claim([Moment(19.4, {"b": 8})], CLAIMS).ratio > 1


def test_connections_without_any_claim_are_infinitely_over_it():
    assert peak_over_claim([Moment(5, {"c": 1, "a": 0})], CLAIMS).ratio == math.inf


def test_what_was_in_use_is_compared_with_what_was_granted_then():
    samples = [Moment(5, {"a": 4, "b": 5}), Moment(15, {"a": 2, "b": 5})]
    assert peak_over_granted(samples, CLAIMS) == 0.9


def test_a_rate_counts_the_gaps_between_samples():
    assert hertz([Moment(each / 10, {}) for each in range(11)]) == 10
