// A receipt for people: in one line, and as a drawing in which each phase begins where the one before ended. Pure.
// Used by invoke, invocation and invocations.
import type { Receipt } from '../../sdk/src/control.ts';
import { msText } from './phrases.ts';

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

const PHASES = [
  ['queue', 'waiting for an instance'],
  ['sandbox', 'starting one'],
  ['load', 'reading the code'],
  ['init', 'evaluating it'],
  ['handler', 'the call itself'],
] as const;

/** `cold 28.8 ms: sandbox 22.4 ms, load 1.20 ms, …; billed 6 ms`. */
export function receiptText(receipt: Receipt): string {
  const parts = PHASES.map(([name]) => [name, phaseMs(receipt, name)] as const).filter(([, ms]) => ms >= 0.005);
  return `${receipt.cold ? 'cold' : 'warm'} ${msText(totalMs(receipt))} (${parts.map(([name, ms]) => `${name} ${msText(ms)}`).join(', ')}), billed ${receipt.billedMs} ms`;
}

export function totalMs(receipt: Receipt): number {
  return PHASES.reduce((sum, [name]) => sum + phaseMs(receipt, name), 0);
}

/** Lines of `name  time  bar`; the bars are `columns` wide together. */
export function receiptBars(receipt: Receipt, columns: number): string[] {
  const total = totalMs(receipt);
  let beforeMs = 0;
  return PHASES.map(([name, meaning]) => {
    const ms = phaseMs(receipt, name);
    const from = total === 0 ? 0 : Math.floor((beforeMs / total) * columns);
    beforeMs += ms;
    const bar = total === 0 ? '' : blocks((ms / total) * columns);
    return `${name.padEnd(8)}${msText(ms).padStart(10)}  ${`${' '.repeat(Math.min(from, columns - 1))}${bar}`.padEnd(columns + 1)} ${meaning}`;
  });
}

function blocks(width: number): string {
  const eighths = Math.round(width * 8);
  return '█'.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8]!;
}

function phaseMs(receipt: Receipt, name: (typeof PHASES)[number][0]): number {
  return receipt[`${name}Ms`];
}
