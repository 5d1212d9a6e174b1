-- What the bus of 0007 counted wrong, or by walking through whole queues.

-- Receives that ended because their holder did (recover()): they count against the receives that a message may have, and are no attempts.
alter table event_messages add column cuts integer not null default 0;

-- Of a fifo queue: those that wait for their time, which are counted.
create index event_messages_delayed on event_messages (queue, due_at) where state = 2 and hold is null and wait_ms > 0;
