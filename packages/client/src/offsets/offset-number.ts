import { ArgumentError } from '../errors/client-errors.ts'

/** An offset of the application as this package counts. Throws {@link ArgumentError} for what is no place in a log. */
export function offsetNumber(offset: bigint | number): number {
  const number = Number(offset)
  if (!Number.isSafeInteger(number) || number < 0) {
    throw new ArgumentError('offset', `must be a whole number from 0 to 2^53 - 1, not ${offset}`)
  }
  return number
}
