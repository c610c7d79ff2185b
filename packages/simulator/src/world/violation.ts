import { BaseError } from '@millrace/base'

/** What must be true was not. `invariant` is its name in the list of invariants (`docs/simulator.md`). */
export class ViolationError extends BaseError {
  readonly invariant: string

  constructor(invariant: string, message: string) {
    super('INVARIANT_VIOLATED', `${invariant}: ${message}`)
    this.invariant = invariant
  }
}

/** Throws {@link ViolationError} unless the condition holds. The message is only made if it does not. */
export function must(condition: boolean, invariant: string, message: () => string): asserts condition {
  if (!condition) throw new ViolationError(invariant, message())
}
