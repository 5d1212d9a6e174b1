// Why Virga cannot start, worded for the person who starts it: what is wrong, with the value, and what to do. The CLI
// prints the message alone and exits 1; any other error is a fault of ours and comes with its stack.

export class StartError extends Error {
  override readonly name = 'StartError';
}
