import { setTimeout as delay } from 'node:timers/promises'

/**
 * Asks `probe` again and again until it gives something other than `false`, `null` or `undefined`, and returns that. Other processes
 * tell nobody when they are ready, so asking is all there is; the wait between two questions only bounds how often.
 */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  timeoutMs = 30_000,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const answer = await probe()
    if (answer !== false && answer !== null && answer !== undefined)
      return answer as Exclude<T, false | null | undefined>
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`)
    await delay(25)
  }
}
