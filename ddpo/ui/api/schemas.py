"""What the endpoints answer, as JSON Schema: the part of the API that Gradio cannot read from a function."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def record(description: str, /, **properties: Schema) -> Schema:
    """An object with these properties, all of which are always there."""
    return {"type": "object", "description": description, "properties": properties}


def text(description: str) -> Schema:
    """A string."""
    return {"type": "string", "description": description}


def number(description: str) -> Schema:
    """Any number."""
    return {"type": "number", "description": description}


def whole(description: str) -> Schema:
    """A whole number."""
    return {"type": "integer", "description": description}


def flag(description: str) -> Schema:
    """true or false."""
    return {"type": "boolean", "description": description}


def several(items: Schema, description: str) -> Schema:
    """A list."""
    return {"type": "array", "items": items, "description": description}


def maybe(schema: Schema) -> Schema:
    """The same, or null."""
    kind = {name: value for name, value in schema.items() if name != "description"}
    return {"anyOf": [kind, {"type": "null"}], "description": schema["description"]}


def anything(description: str) -> Schema:
    """An object whose properties differ from case to case."""
    return {"type": "object", "description": description}


def limits(description: str) -> Schema:
    """[lowest, highest], either null where there is no limit."""
    return several({"anyOf": [{"type": "number"}, {"type": "null"}]}, description)


COMPARISON = record(
    "The result. While it runs, `generating` events hold {stage, step, total, seconds_left} here and no pictures.",
    settings=record(
        "What was asked for, with every default filled in; the same settings give the same pictures.",
        pair=text("Model pair."),
        scheduler=text("Noise scheduler."),
        steps=whole("Denoising steps."),
        eta=number("DDIM's share of noise."),
        samples=whole("Pictures of each model."),
        seed=whole("First seed."),
        scorer=text("Scorer."),
        base=maybe(text("Model in place of the pair's base.")),
        tuned=maybe(text("Model in place of the pair's finetuned one.")),
        precision=maybe(text("float32 or bfloat16; null: what the hardware is quick at.")),
    ),
    scorer=text("Name of the scorer."),
    seeds=several({"type": "integer"}, "The seeds, in the order of the pictures and the scores."),
    base_scores=several({"type": "number"}, "A score for each picture of the base model."),
    tuned_scores=several({"type": "number"}, "A score for each picture of the finetuned model."),
    statistics=record(
        "What the pairs of scores say, in units of the score unless noted.",
        n=whole("Pairs."),
        mean_base=number("Mean score of the base model."),
        mean_tuned=number("Mean score of the finetuned model."),
        mean_difference=number("Mean of finetuned minus base, seed by seed."),
        interval_low=maybe(number("Lower end of its 95% interval (Student's t); null for one pair.")),
        interval_high=maybe(number("Upper end. If the interval contains 0, no difference is shown.")),
        win_rate=number("Share of the seeds in which the finetuned model scores higher, 0 to 1; a tie counts half."),
        gain_in_sd=maybe(number("Mean difference in standard deviations of the base's scores.")),
        ties=whole("Pairs of the same score."),
    ),
    sentence=text("The outcome in words, ready to be quoted."),
    seconds_per_image=number("Seconds that a picture took."),
    compute=text("Device and precision."),
    diversity=maybe(
        record(
            "How different the finetuned model's pictures are from each other, as a share of the base's; null below 8 "
            "pictures.",
            value=number("The share."),
            noise=number("Its standard error."),
        )
    ),
)
_CELL: dict[str, Schema] = {
    "model": text("What the model is called."),
    "scheduler": text("Noise scheduler."),
    "steps": whole("Denoising steps."),
    "eta": number("DDIM's share of noise."),
}
EVALUATION = record(
    "The result. While it runs, `generating` events hold {stage, step, total, seconds_left} here and no report; after "
    "a cell, those hold all of the following as well, as far as it is known.",
    settings=anything("What was asked for, with every default filled in; folders by their names alone."),
    format=whole("Of this answer."),
    complete=flag("Whether all cells are finished."),
    target=text("The scorer that is to rise."),
    cells=several(
        record(
            "One model, drawn in one way.",
            **_CELL,
            seconds_per_picture=number("Seconds that a picture took, on the machine that drew it."),
            evaluations_per_picture=whole("How often the network was asked for a picture."),
            scores=anything("By name of the scorer, a score for each seed."),
            measures=maybe(
                anything(
                    "Against the base's pictures: modes, diversity, recall, precision, nearest (each with value and "
                    "noise, as a share of the base's), distance and sliders; null for the base and below 16 seeds."
                )
            ),
        ),
        "The cells that are finished.",
    ),
    comparisons=several(
        record(
            "A model against the base, drawn in the same way.",
            **_CELL,
            gains=anything(
                "By name of the scorer: paired (means, mean_difference, win_rate, gain_in_sd, ...), interval (95%), "
                "method (of the interval), p_value, p_corrected (Holm, for all comparisons), wins_interval, ..."
            ),
            verdict=record(
                "What is to be thought of it.",
                kind=text("better, better at a price, no difference shown, worse, hacked or collapsed."),
                sentence=text("For people, with the numbers."),
                reasons=several({"type": "string"}, "What it rests on, the weightiest first."),
            ),
        ),
        "The comparisons whose two cells are finished.",
    ),
    cheapest_as_good=anything(
        "By model: best, where it scores highest, and cheapest, which is worse by less than 0.2 standard deviations."
    ),
)
SCORE = record(
    "The score and what it means.",
    score=number("The score."),
    scorer=text("Name of the scorer, its argument included."),
    unit=text('Its unit; "" where it has none.'),
    range=limits("[lowest, highest] possible score; null: no limit."),
    size=several(
        {"type": "integer"}, "[width, height] in pixels as scored; sides over 2048 are reduced to that first."
    ),
)
COST = record(
    "What a comparison takes.",
    download_megabytes=whole("Both models together; 0 where they come with the app."),
    memory_megabytes=whole("Of the process on a CPU."),
    seconds_per_image=number("Of one model, DDIM with 50 steps on a CPU."),
    source=text("Which of these were measured, and how."),
)
MODELS = record(
    "What can be asked for.",
    pairs=several(
        record(
            "A model pair.",
            name=text("What `pair` takes."),
            title=text("For people."),
            description=text("For people."),
            base=text("The base model."),
            tuned=text("The finetuned model."),
            reward=text("The scorer that it was finetuned on."),
            sample_size=maybe(whole("Side of its pictures in pixels.")),
            on_this_machine=flag("Whether all files are here; otherwise they are downloaded first."),
            cost=maybe(COST),
        ),
        "Model pairs; finetuning runs with a result are among them, as run:<id>.",
    ),
    schedulers=several(
        record(
            "A noise scheduler.",
            name=text("What `scheduler` takes."),
            title=text("For people."),
            description=text("What it does, with the paper."),
            default_steps=whole("Steps where `steps` is null."),
            min_steps=whole("Fewest steps."),
            max_steps=whole("Most steps."),
            takes_eta=flag("Whether `eta` has an effect."),
        ),
        "Noise schedulers.",
    ),
    scorers=several(
        record(
            "A scorer.",
            name=text("What `scorer` takes, followed by a colon and its argument where it needs one."),
            title=text("For people."),
            description=text("What it measures."),
            source=text("Paper or project."),
            range=limits("[lowest, highest] possible score; null: no limit."),
            unit=text('Its unit; "" where it has none.'),
            argument=maybe(text("What must follow the name and a colon; empty or null: nothing.")),
            obstacle=maybe(text("Why it cannot be used here; null: it can.")),
        ),
        "Scorers, which are the rewards of finetuning too.",
    ),
    defaults=record(
        "What is taken where nothing is given.",
        pair=text("Model pair."),
        why=maybe(text("Why it is this pair.")),
        scheduler=text("Noise scheduler."),
        samples=whole("Pictures of each model."),
        scorer=text("Scorer of that pair."),
    ),
    local_folders=flag("Whether `base` and `tuned` may be folders of the machine that runs the app."),
)
RUN = record(
    "Where a run stands. With history=true, `history` holds the metrics of every epoch, and `held_out_history` every "
    "look at held-out seeds.",
    id=text("What `run` takes."),
    name=maybe(text("What people call it.")),
    note=maybe(text("What they noted of it.")),
    created=text("When it was created (ISO 8601, UTC)."),
    state=text("queued, starting, running, stopping, stopped, finished, failed or interrupted."),
    pair=maybe(text("Pair whose base is finetuned; null for a model of one's own.")),
    base=text("The base."),
    reward=text("The reward."),
    recipe=text("The recipe."),
    epoch=whole("Epochs done."),
    epochs=whole("Epochs in all."),
    step=whole("Steps done; progress is step / steps."),
    steps=whole("Steps in all; 0 until it has begun."),
    seconds=number("Seconds of training so far."),
    seconds_left=maybe(number("Estimate for the rest.")),
    queue=maybe(
        anything("Of a run that waits: its place (1 is the next) and the seconds until it is likely to start, or null.")
    ),
    error=maybe(text("Why it failed, a sentence.")),
    notice=maybe(text("What else is to be known, a sentence.")),
    held_out=maybe(
        anything(
            "What held-out seeds say: the `last` look and the `best`, each with epoch, reward_mean, gain in standard "
            "deviations of the base's rewards, win_rate, diversity, ...; null where the run does not look at any."
        )
    ),
    metrics=maybe(
        anything(
            "Of the last epoch: reward_mean, reward_std, reward_quantiles, kl, clip_fraction, grad_norm, diversity, "
            "...; null before the first is over."
        )
    ),
    diagnosis=record(
        "Whether the run looks healthy.",
        verdict=text("One word."),
        title=text("A few words."),
        sentence=text("What to do."),
    ),
    result=maybe(text("run:<id>, a model pair for /compare, once there is one.")),
    kept_epochs=several({"type": "integer"}, "Epochs of which there are weights; run:<id>@<epoch> is a pair too."),
)
DELETED = record("What is gone.", deleted=text("Id of the run."))
RUNS = several(RUN, "All runs, the newest first.")
