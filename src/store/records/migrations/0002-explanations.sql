-- Why a call failed at a limit: Explanation of src/protocol/explanation.ts as JSON; null for most.
-- Not jsonb: what a function prints may hold what jsonb refuses (\u0000, half a surrogate pair).

alter table invocations add column explanation text;
