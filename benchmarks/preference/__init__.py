"""The preference loop, measured on simulated raters: one command a table, resumable.

    ./run bench preference.final            held-out tastes, the figures that count
    ./run bench preference.reward_table     accuracy by what the reward reads and by votes
    python -m benchmarks.preference.fine_tuned          would a fine-tuned reward know more?
    python -m benchmarks.preference.sweep --table arms --model runs/tiny/model
    python -m benchmarks.preference.ppo_seeds --model runs/tiny/model
    python -m benchmarks.preference.ladder_model

Gold is the noiseless utility of the rater whose noisy votes trained the model, on fresh tunes.

The tiny model is made in 17 minutes:

    musicgen train --corpus data/corpus --out runs/tiny --preset tiny --steps 0 --minutes 17 \\
        --decay 0.4 --position-loss 1.0 --grammar-loss 2.0
"""
