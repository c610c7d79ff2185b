import { expect, test } from 'vitest'
import { BrokerEpoch } from './broker-epoch.ts'
import { StallWatch } from './stall-watch.ts'

/** How long turns take means nothing in code that runs for the first time, beside other tests. */
class PatientWatch extends StallWatch {
  override async turn(work: () => void): Promise<number> {
    await super.turn(work)
    return 0
  }
}

test('a short epoch holds, and was one: frames answered, batches stored, HTTP answered', {
  timeout: 120_000,
}, async () => {
  const watch = new PatientWatch()
  const complaints: string[] = []
  try {
    const result = await BrokerEpoch.run({
      seed: 5,
      frames: 1_000,
      rare: { flood: 0, deluge: 0, bomb: 0 },
      watch,
      isStopped: () => false,
      onProgress: () => undefined,
      onFailure: (round, what) => complaints.push(`round ${round}: ${what}`),
    })
    expect(complaints).toEqual([])
    expect(result.frameCount).toBeGreaterThanOrEqual(1_000)
    expect(result.answeredCount).toBeGreaterThan(200)
    expect(result.storedCount).toBeGreaterThan(0)
    expect(result.httpAnswerCount).toBeGreaterThan(0)
    expect(result.answered.size).toBeGreaterThan(50)
  } finally {
    watch.stop()
  }
})

test('what would have ended the process is told, with what was sent', { timeout: 120_000 }, async () => {
  const watch = new PatientWatch()
  const strays: { what: string; sentCount: number }[] = []
  // The test runner's own would fail the run for what is meant to be stray here.
  const listeners = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  try {
    await BrokerEpoch.run({
      seed: 5,
      frames: 300,
      rare: { flood: 0, deluge: 0, bomb: 0 },
      watch,
      isStopped: () => false,
      // As a handler that nobody waits for.
      onProgress: () => void Promise.reject(new Error('nobody waits for this')),
      onFailure: (_round, what, sent) => strays.push({ what, sentCount: sent.length }),
    })
    expect(strays.length).toBeGreaterThan(0)
    expect(strays[0]!.what).toContain('nobody waits for this')
    expect(strays[0]!.sentCount).toBeGreaterThan(0)
  } finally {
    for (const listener of listeners) process.on('unhandledRejection', listener)
    watch.stop()
  }
})
