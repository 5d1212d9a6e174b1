-- Who started a run over HTTP, where the route asks: only they may read its status.
alter table workflow_runs add column principal text;
