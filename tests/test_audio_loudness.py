"""The meter against the signals and numbers of ITU-R BS.1770-4 and EBU Tech 3341."""

import math

import numpy as np
import pytest

from abc_tools.loudness import TARGET_LUFS, integrated_loudness, k_filters, normalising_gain, scan

RATES = (32_000, 44_100, 48_000)


def sine(level_dbfs, seconds, rate_hz, frequency_hz=1000.0):
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    amplitude = 10 ** (level_dbfs / 20)
    return (amplitude * np.sin(2 * np.pi * frequency_hz * times)).astype(np.float32)


def test_the_filters_at_48_khz_are_those_printed_in_the_standard():
    shelf, high_pass = k_filters(48_000)
    assert shelf[0] == pytest.approx((1.53512485958697, -2.69169618940638, 1.19839281085285))
    assert shelf[1] == pytest.approx((1.0, -1.69065929318241, 0.73248077421585))
    assert high_pass[0] == pytest.approx((1.0, -2.0, 1.0))
    assert high_pass[1] == pytest.approx((1.0, -1.99004745483398, 0.99007225036621))


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_full_scale_sine_of_997_hz_in_one_channel_is_minus_3_01_lufs(rate_hz):
    # BS.1770-4, annex 1: "the indicated loudness will equal -3.01 LKFS".
    loudness = integrated_loudness(sine(0.0, 5, rate_hz, 997.0), rate_hz)
    assert loudness == pytest.approx(-3.01, abs=0.03)


@pytest.mark.parametrize("rate_hz", RATES)
def test_quiet_parts_are_gated_out(rate_hz):
    # EBU Tech 3341, case 3: 10 s at -36, 60 s at -23, 10 s at -36 dBFS in both channels: -23.0.
    # One channel of it is 3.01 LU less.
    parts = [sine(level, seconds, rate_hz) for level, seconds in ((-36, 10), (-23, 60), (-36, 10))]
    loudness = integrated_loudness(np.concatenate(parts), rate_hz)
    assert loudness + 10 * math.log10(2) == pytest.approx(-23.0, abs=0.1)


def test_levels_below_the_absolute_gate_do_not_count():
    # EBU Tech 3341, case 4: -72 dBFS before and after case 3.
    levels = ((-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10))
    parts = [sine(level, seconds, 48_000) for level, seconds in levels]
    loudness = integrated_loudness(np.concatenate(parts), 48_000)
    assert loudness + 10 * math.log10(2) == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("frequency_hz", [30, 60, 500, 3000, 7000])
def test_other_frequencies_are_weighted_as_the_filters_say(rate_hz, frequency_hz):
    weight = 1.0
    delay = np.exp(-2j * np.pi * frequency_hz / rate_hz)
    for b, a in k_filters(rate_hz):
        weight *= abs(np.polyval(b[::-1], delay) / np.polyval(a[::-1], delay)) ** 2
    expected = -0.691 + 10 * math.log10(weight / 2) - 20.0
    measured = integrated_loudness(sine(-20.0, 10, rate_hz, frequency_hz), rate_hz)
    assert measured == pytest.approx(expected, abs=0.02)


def test_silence_has_no_loudness_and_stays_as_it_is():
    silence = np.zeros(48_000, dtype=np.float32)
    assert integrated_loudness(silence, 48_000) == -math.inf
    assert normalising_gain(silence, 48_000) == 1.0


@pytest.mark.parametrize("frames", [0, 1, 1000])
def test_less_than_a_tenth_of_a_second_has_no_loudness(frames):
    assert integrated_loudness(np.ones(frames, dtype=np.float32), 48_000) == -math.inf


@pytest.mark.parametrize("level_dbfs", [-60.0, -20.0, -3.0])
def test_normalising_brings_any_level_to_the_target(level_dbfs):
    frames = sine(level_dbfs, 3, 44_100)
    frames *= np.float32(normalising_gain(frames, 44_100))
    assert integrated_loudness(frames, 44_100) == pytest.approx(TARGET_LUFS, abs=0.01)


def test_the_result_does_not_depend_on_the_level_even_near_the_gate():
    # A quiet part that the absolute gate drops at a low level and keeps at a higher one.
    music = np.concatenate([sine(-20, 4, 44_100), sine(-32, 8, 44_100)])
    results = []
    for level in (1.0, 0.003):
        frames = music * np.float32(level)
        frames *= np.float32(normalising_gain(frames, 44_100))
        results.append(integrated_loudness(frames, 44_100))
    assert results == pytest.approx([TARGET_LUFS, TARGET_LUFS], abs=0.01)


@pytest.mark.parametrize("length", [1, 2, 44_101])
def test_the_peak_is_the_highest_of_all_frames_also_of_an_odd_last_one(length):
    frames = np.full(length, 0.1, dtype=np.float32)
    frames[-1] = -0.5
    _, peak = scan(frames, 44_100)
    assert peak == 0.5
