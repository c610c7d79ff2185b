/**
 * A bound on what outsiders can make the broker hold, and how much of it is used: one pair of gauges each. `docs/memory.md` tells what
 * each one counts and what happens at its limit.
 */
export interface BudgetSample {
  /** A name of our own: it is a label. */
  readonly name: string
  readonly unit: 'bytes' | 'count'
  readonly used: number
  /** Infinity: nothing but the machine bounds it. */
  readonly limit: number
}
