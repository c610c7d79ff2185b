/** Only another broker can have written such a value, and nothing is there where it points: the largest number serves as well. */
export function safeNumber(value: number | bigint): number {
  if (typeof value === 'number') return value
  return value > 0n ? Number.MAX_SAFE_INTEGER : Number.MIN_SAFE_INTEGER
}
