/** The storage invariants of `reliability.md` 1.3. */
export const INVARIANTS = ['S1', 'S2', 'S3', 'S4', 'S5', 'S6', 'S7', 'S8', 'S9', 'S10'] as const
export type Invariant = (typeof INVARIANTS)[number]

/** How often each was evaluated. */
export type Evaluations = Record<Invariant, number>

export function newEvaluations(): Evaluations {
  return Object.fromEntries(INVARIANTS.map((name) => [name, 0])) as Evaluations
}

/** An invariant does not hold. */
export class InvariantError extends Error {
  readonly invariant: Invariant

  constructor(invariant: Invariant, reason: string) {
    super(`${invariant}: ${reason}`)
    this.name = 'InvariantError'
    this.invariant = invariant
  }
}

export function fail(invariant: Invariant, reason: string): never {
  throw new InvariantError(invariant, reason)
}
