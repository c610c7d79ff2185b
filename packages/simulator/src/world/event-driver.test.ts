import { setTimeout as pass } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { driveEvents } from './event-driver.ts'

/** Steps that run one after the other, and then no more. */
function stepsOf(steps: readonly (() => void)[]): () => boolean {
  let slot = 0
  return () => {
    if (slot === steps.length) return false
    steps[slot++]!()
    return true
  }
}

describe('driveEvents', () => {
  it('ends all that promises have to do before the next event', async () => {
    const happened: string[] = []
    const chain = async (name: string, length: number): Promise<void> => {
      for (let link = 0; link < length; link++) await null
      happened.push(name)
    }
    await driveEvents(
      stepsOf([() => void chain('long', 1_000), () => void chain('short', 1), () => happened.push('last')]),
    )
    expect(happened).toEqual(['long', 'short', 'last'])
  })

  it('goes on over turns of the real loop', async () => {
    let count = 0
    await driveEvents(() => count++ < 5_000)
    expect(count).toBe(5_001)
  })

  it.each([
    ['Date.now', () => Date.now()],
    ['Math.random', () => Math.random()],
    ['performance.now', () => performance.now()],
    ['setTimeout', () => setTimeout(() => undefined, 0)],
    ['setInterval', () => setInterval(() => undefined, 1)],
    ['setImmediate', () => setImmediate(() => undefined)],
    ['process.nextTick', () => process.nextTick(() => undefined)],
  ])('refuses %s while events happen, and only then', async (_, ask) => {
    await expect(driveEvents(stepsOf([() => void ask()]))).rejects.toMatchObject({ invariant: 'C20' })
    const before = Date.now()
    await pass(0)
    expect(Date.now()).toBeGreaterThanOrEqual(before)
    expect(Math.random()).toBeLessThan(1)
  })

  it('refuses them also in what promises do after an event', async () => {
    let refused: unknown = null
    const later = async (): Promise<void> => {
      await null
      try {
        Date.now()
      } catch (error) {
        refused = error
      }
    }
    await driveEvents(stepsOf([() => void later()]))
    expect(refused).toMatchObject({ invariant: 'C20' })
  })

  it('ends with what an event throws', async () => {
    const steps = stepsOf([
      () => {
        throw new Error('broken')
      },
    ])
    await expect(driveEvents(steps)).rejects.toThrow('broken')
  })
})
