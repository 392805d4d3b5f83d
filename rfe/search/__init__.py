"""Searches on Ray: Tune asks, Optuna proposes, Ray Train workers train; the only home of ray. Start at `driver`.

```
options.py         RunOptions: how a study is run
running.py         run_study: run_search, shown in MLflow; StudySeries: several studies on one set of workers
driver.py          run_search: opens data and study, then runs the loop
study_run.py       the loop of one study, its end and its outcome
trial_tracker.py   which trials are asked, open and ended; resume
repair.py          `rfe studies repair`
budget.py          when a study ends; plan.py how long it would take (--dry-run)
confirm.py         the best trials again with fresh seeds
outcome.py         what a study comes to
tuner.py           Ray Tune: one light trial carries one cohort
fleet.py           session, queue and workers of one command
session.py         Ray: how many workers fit; local_ray.py starts one, preconditions.py what it needs of the
                   machine, trial_start.py tries it; cluster.py connects to one
work_queue.py      leases of configurations (plain logic); lease.py its records; packing.py what goes
                   together; work_queue_actor.py puts it on Ray
checkpoints.py     how far unfinished configurations are, in the study's folder
work.py            what travels between driver, queue and workers
worker_group.py    a Ray Train run; worker.py its loop; stack_training.py what it does with a stack
interrupt.py       Ctrl-C, and the signals of batch systems and terminals
```
"""
