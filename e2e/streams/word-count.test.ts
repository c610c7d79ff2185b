import { expect, it } from 'vitest'
import { runWordCount } from './run-word-count.ts'

/** Goal: Kafka Streams with exactly_once_v2 counts exactly once through kills of leaders. `npm run e2e:streams` does the same for longer. */

it('Kafka Streams counts every word exactly once while leaders are killed', async () => {
  const result = await runWordCount({
    seconds: 40,
    killEveryMs: 15_000,
    linesPerSecond: 50,
    instances: 2,
    seed: 18,
    onPhase: () => undefined,
  })
  expect(result.problems).toEqual([])
  expect(result.leaderKills).toBe(2)
  expect(result.words).toBeGreaterThan(2000)
}, 480_000)
