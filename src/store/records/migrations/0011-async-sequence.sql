-- Where the message of an asynchronous invocation lies in its queue, so that the sweep need not walk through the queue to find it.
alter table async_invocations add column sequence bigint;
