"""Train again when there is a reason to, and promote the new version if it is good enough."""

from pathlib import Path

from prefect import flow

from flows.approval import answer_given
from flows.environment import state_folder
from flows.late import claimed, newer_run, skipped
from flows.promote import promote_challenger
from flows.results import Retrained, rows_of
from flows.titles import of_model_file
from flows.train import LONGEST, train_on
from tasks.data.steps import ingest_data, read_trainable
from tasks.registry.promotion import is_settled
from tasks.registry.record import Origin
from tasks.registry.steps import find_standing, with_start
from tasks.training.engine import EngineName, choose_engine
from tasks.training.job import plan_job


@flow(name="retrain", flow_run_name=of_model_file, timeout_seconds=LONGEST)
def retrain(model_file: Path, engine: EngineName = "local", workers: int = 1, address: str | None = None) -> Retrained:
    """Trains and promotes, unless data, model file and code are what the newest version was made from.

    Neither does it train while fewer rows than `min_new_rows` have come since that version. A version that an
    interrupted retraining left unjudged is judged then. A run of a schedule does nothing where a newer one is due, so
    that one retraining follows an outage; no run of a deployment does what another one is at. Where the model file asks
    for approval, a run of a deployment is suspended before the champion moves; it goes on with what it was suspended
    for, and trains nothing.

    Args:
        model_file: The model file.
        engine: `local` trains in this process, `ray` on workers that Ray starts.
        workers: With ray: how many processes share each batch. It shapes the weights, if slightly.
        address: With ray: a cluster that runs already, as HOST:PORT; without, one is started on this machine.
    """
    chosen = choose_engine(engine, workers, address)
    settings = read_trainable(model_file)
    answer = answer_given(settings.name)
    if answer:
        return Retrained.of(promote_challenger(settings.name, answer.version, "retrain", answer.word))
    late = newer_run()
    if late:
        return skipped(Retrained.without(settings.name, late), late)
    data = ingest_data(settings, state_folder())
    job = with_start(plan_job(settings, data, state_folder(), chosen))
    with claimed(job) as busy:
        if busy:
            return skipped(Retrained.without(settings.name, busy), busy)
        standing = find_standing(job, data, Origin.of(job))
        if standing and is_settled(standing.version):
            return skipped(Retrained.standing(standing, data), f"{standing.outcome}: {standing.why}")
        version = standing.version.number if standing else train_on(job, data, fresh=False).version
        verdict = promote_challenger(settings.name, version, "retrain")
    return Retrained(settings.name, version, False, verdict.promoted, verdict.outcome, verdict.reasons, **rows_of(data))
