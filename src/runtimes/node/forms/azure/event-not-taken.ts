// An event that no function of the app can take. Invariant: its message names the event and what would help; there is no stack, since
// no code of the function ran. Thrown by trigger-inputs.ts and events.ts.
import { BadResponse } from '../../failure.ts';

/** Shown as BadResponse is, without a stack, under a name of its own. */
export class EventNotTaken extends BadResponse {
  override name = 'EventNotTaken';
}
