"""The steps of the workflow `examples.model`: will a customer leave? A logistic regression, trained and put to use."""

from __future__ import annotations

import argparse
import hashlib
import math
import random
import statistics
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from common import BadInput, read_json, read_rows, run, write_json, write_rows, write_text

DAY, LABEL = "day", "left"

#: What is known of a customer.
FEATURES = ("months", "visits", "calls", "late_payments", "monthly_fee")

#: The part of the samples that the training does not see.
HELD_OUT = 0.25

#: How far a step of the training goes.
LEARNING_RATE = 0.5


class Sample(NamedTuple):
    """What is known of a customer, and whether that one left: 1 or 0."""

    features: Sequence[float]
    label: int


def probability(weights: Sequence[float], features: Sequence[float]) -> float:
    """How likely the model finds it that a customer leaves. The last of the weights is the constant."""
    score = weights[-1] + math.fsum(weight * value for weight, value in zip(weights, features))
    # Beyond this, exp() overflows and the answer is clear.
    return 1 / (1 + math.exp(-max(-500.0, min(500.0, score))))


def loss(weights: Sequence[float], samples: Sequence[Sample]) -> float:
    """How surprised the model is by what happened: the mean of -log(probability of the truth)."""
    chances = ((probability(weights, features), label) for features, label in samples)
    return statistics.fmean(-math.log(max(1e-12, chance if label else 1 - chance)) for chance, label in chances)


def accuracy(weights: Sequence[float], samples: Sequence[Sample]) -> float:
    """The part of the samples that the model gets right."""
    return statistics.fmean((probability(weights, features) >= 0.5) == bool(label) for features, label in samples)


def learn(weights: Sequence[float], samples: Sequence[Sample]) -> list[float]:
    """One step down the slope of the loss."""
    slope = [0.0] * len(weights)
    for features, label in samples:
        error = probability(weights, features) - label
        for index, value in enumerate((*features, 1.0)):
            slope[index] += error * value
    return [weight - LEARNING_RATE * each / len(samples) for weight, each in zip(weights, slope)]


def scaled(features: Sequence[float], means: Sequence[float], deviations: Sequence[float]) -> list[float]:
    """Features of about the same size, which are learned at about the same speed."""
    return [(value - mean) / deviation for value, mean, deviation in zip(features, means, deviations)]


def read_samples(path: Path) -> list[Sample]:
    """Features and what happened, from a CSV file."""
    found: list[Sample] = []
    for row in read_rows(path, (*FEATURES, LABEL)):
        if row.text(LABEL) not in ("0", "1"):
            raise row.wrong(LABEL, "0 or 1")
        found.append(Sample([row.number(column) for column in FEATURES], int(row.text(LABEL))))
    return found


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """The opposite of read_samples."""
    write_rows(path, (*FEATURES, LABEL), ([*features, label] for features, label in samples))


def fetch(source: Path, days: int, output: Path) -> None:
    """The samples of the last days, counted from the newest."""
    rows = [(row.day(DAY), row.cells) for row in read_rows(source, (DAY, *FEATURES, LABEL))]
    if not rows:
        raise BadInput(f"{source}: there are no samples in it")
    newest = max(day for day, _ in rows)
    first = (date.fromisoformat(newest) - timedelta(days=days - 1)).isoformat()
    columns = (*FEATURES, LABEL)
    recent = [[cells[column] for column in columns] for day, cells in rows if day >= first]
    write_rows(output / "samples.csv", columns, recent)
    print(f"{len(recent)} of {len(rows)} samples are from the {days} days up to {newest}")


def preprocess(seed: int, output: Path) -> None:
    """Set some samples aside for the evaluation, and scale all by what the others show."""
    samples = read_samples(output / "samples.csv")
    random.Random(seed).shuffle(samples)
    aside = max(1, round(len(samples) * HELD_OUT))
    test, train = samples[:aside], samples[aside:]
    if len(train) < 2 or len({label for _, label in train}) < 2:
        raise BadInput(f"{len(samples)} samples are too few to learn from: there must be some of both kinds")
    columns = list(zip(*(features for features, _ in train)))
    means = [statistics.fmean(column) for column in columns]
    deviations = [statistics.pstdev(column) or 1.0 for column in columns]
    for name, part in (("train", train), ("test", test)):
        scaled_part = (Sample(scaled(features, means, deviations), label) for features, label in part)
        write_samples(output / f"{name}.csv", scaled_part)
    write_json(output / "scaling.json", {"features": FEATURES, "means": means, "deviations": deviations})
    print(f"{len(train)} samples to learn from, {len(test)} held out")


def train(epochs: int, output: Path) -> None:
    """Learn the weights."""
    samples = read_samples(output / "train.csv")
    weights = [0.0] * (len(FEATURES) + 1)
    for epoch in range(epochs):
        if epoch % max(1, epochs // 5) == 0:
            print(f"epoch {epoch}: loss {loss(weights, samples):.4f}")
        weights = learn(weights, samples)
    print(f"epoch {epochs}: loss {loss(weights, samples):.4f}")
    write_json(output / "model.json", {**read_json(output / "scaling.json"), "weights": weights})


def evaluate(output: Path) -> None:
    """Try the model on the samples that it has not seen, beside the guess that all do what most do."""
    path = output / "model.json"
    samples = read_samples(output / "test.csv")
    reached = accuracy(read_json(path)["weights"], samples)
    leaving = statistics.fmean(label for _, label in samples)
    guess = max(leaving, 1 - leaving)
    found = {"accuracy": reached, "guess": guess, "samples": len(samples), "model_sha256": digest(path)}
    write_json(output / "evaluation.json", found)
    print(f"accuracy {reached:.3f} on {len(samples)} samples that were held out; guessing reaches {guess:.3f}")


def deploy(least: float, output: Path) -> None:
    """Put the model where it is used, when it is good enough and the one that was evaluated."""
    path = output / "model.json"
    found = read_json(output / "evaluation.json")
    if found["model_sha256"] != digest(path):
        raise BadInput(f"{path} is not the model that was evaluated; nothing is deployed")
    if found["accuracy"] < least:
        raise BadInput(
            f"the accuracy is {found['accuracy']:.3f} and has to be {least:.3f} or more; nothing is deployed, and the "
            "model in use stays"
        )
    target = output / "production" / "model.json"
    write_text(target, path.read_text(encoding="utf-8"))
    print(f"{target} is the model of now, with an accuracy of {found['accuracy']:.3f}")


def digest(path: Path) -> str:
    """What tells one model from another."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Read the command line and take one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["fetch", "preprocess", "train", "evaluate", "deploy"])
    parser.add_argument("--input", type=Path, help="the CSV file with the samples (fetch)")
    parser.add_argument("--days", type=int, default=30, help="how far back to go (fetch)")
    parser.add_argument("--seed", type=int, default=1, help="which samples are held out (preprocess)")
    parser.add_argument("--epochs", type=int, default=100, help="how long to learn (train)")
    parser.add_argument("--least", type=float, default=0.0, help="the accuracy that is good enough (deploy)")
    parser.add_argument("--output", type=Path, required=True, help="the folder for what is made")
    arguments = parser.parse_args()
    if arguments.step == "fetch":
        if arguments.input is None:
            parser.error("fetch needs --input")
        fetch(arguments.input, arguments.days, arguments.output)
    elif arguments.step == "preprocess":
        preprocess(arguments.seed, arguments.output)
    elif arguments.step == "train":
        train(arguments.epochs, arguments.output)
    elif arguments.step == "evaluate":
        evaluate(arguments.output)
    else:
        deploy(arguments.least, arguments.output)


if __name__ == "__main__":
    run(main)
