import type { SeededRandom } from '@millrace/base'

/** A number in `[0, 1)`. */
export function fraction(random: SeededRandom): number {
  return random.uint32() / 2 ** 32
}

export function chance(random: SeededRandom, probability: number): boolean {
  return fraction(random) < probability
}

/** A number in `[least, most)`. */
export function between(random: SeededRandom, least: number, most: number): number {
  return least + fraction(random) * (most - least)
}

/** Times between events that know nothing of each other, at most ten times the mean. */
export function exponential(random: SeededRandom, mean: number): number {
  return Math.min(10 * mean, -Math.log(1 - fraction(random)) * mean)
}

/** One of a list that is not empty. */
export function pickOne<T>(random: SeededRandom, choices: readonly T[]): T {
  return choices[random.uint32() % choices.length]!
}

export function shuffled<T>(random: SeededRandom, items: readonly T[]): T[] {
  const left = [...items]
  return items.map(() => left.splice(random.uint32() % left.length, 1)[0]!)
}
