import type { Campaign, Size } from './campaign.ts'

/** A mistake of whoever typed the command. */
export class UsageError extends Error {}

/** A count as it stands on the command line. Throws {@link UsageError}. */
export function countOf(option: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new UsageError(`--${option} ${text} is no count`)
  return value
}

/** How much a campaign is to do: CI's size or the full one, with what was given in its place. Throws {@link UsageError}. */
export function sizeOf({ sizes }: Campaign, isCi: boolean, given: Readonly<Record<string, unknown>>): Size {
  const size: Record<string, number> = { ...(isCi ? sizes.ci : sizes.full) }
  for (const option of Object.keys(size)) {
    const text = given[option]
    if (typeof text === 'string') size[option] = countOf(option, text)
  }
  return size
}

/**
 * Throws {@link UsageError} for an option of a campaign that is not one of those that run: `frames --kills 5` would else be ten million
 * frames.
 */
export function refuseStrangers(
  all: readonly Campaign[],
  chosen: readonly Campaign[],
  given: Readonly<Record<string, unknown>>,
): void {
  const optionsOf = (campaigns: readonly Campaign[]) =>
    new Set(campaigns.flatMap(({ sizes }) => Object.keys(sizes.full)))
  const known = optionsOf(chosen)
  for (const option of optionsOf(all)) {
    if (given[option] !== undefined && !known.has(option))
      throw new UsageError(`${chosen.map(({ name }) => name).join(', ')}: there is no option --${option}`)
  }
}
