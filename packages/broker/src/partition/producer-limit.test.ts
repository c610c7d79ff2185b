import { SimulatedClock } from '@millrace/base'
import { expect, test } from 'vitest'
import { RecordingLogger } from '../coordinator/testing/recording-logger.ts'
import { ProducerLimit, type ProducerLog } from './producer-limit.ts'

/** A log that remembers whom it is told of. */
class Remembering {
  readonly known = new Set<number>()
  readonly producerStates = { isLoaded: true }
  readonly countedBy: { times: number }

  constructor(countedBy: { times: number }) {
    this.countedBy = countedBy
  }

  currentProducers() {
    const { known, countedBy } = this
    return {
      get writerCount() {
        countedBy.times++
        return known.size
      },
      isWriter: (producerId: number) => known.has(producerId),
    }
  }
}

function setUp(maxCount: number) {
  const clock = new SimulatedClock()
  const logger = new RecordingLogger()
  const counts = { times: 0 }
  const logs = [new Remembering(counts), new Remembering(counts)]
  const limit = new ProducerLimit(
    maxCount,
    () => logs as unknown as ProducerLog[],
    () => 86_400_000,
    clock,
    logger,
  )
  /** Appends a batch of a producer; false: it was refused. */
  const append = (slot: number, producerId: number, clientAddress = `192.0.2.${producerId}`): boolean => {
    const log = logs[slot]!
    const isAdmitted = limit.admits(log as unknown as ProducerLog, producerId, clientAddress)
    if (isAdmitted) log.known.add(producerId)
    return isAdmitted
  }
  return { clock, logger, counts, logs, limit, append }
}

test('as many producers are remembered as may be, over all partitions, and known ones go on', () => {
  const { append, limit, logger } = setUp(10)
  const admitted = Array.from({ length: 30 }, (_, n) => append(n % 2, n))
  expect(admitted.filter(Boolean)).toHaveLength(10)
  expect([append(0, 0), append(1, 1), append(1, 0)]).toEqual([true, true, false])
  expect([limit.count(), limit.refusals]).toEqual([10, 21])
  expect(logger.messages('warn')).toHaveLength(1)
})

test('a new producer is admitted once others have expired, a second later at most', () => {
  const { append, clock, logs } = setUp(10)
  for (let n = 0; n < 12; n++) append(0, n)
  logs[0]!.known.delete(3)
  expect(append(1, 100)).toBe(false)
  clock.advance(1000)
  expect([append(1, 100), append(1, 101)]).toEqual([true, false])
})

test('producers are hardly ever counted: not before half of the bound can have been reached', () => {
  const { append, counts } = setUp(100_000)
  for (let n = 0; n < 90_000; n++) append(0, n % 50)
  expect(counts.times).toBe(4)
  for (let n = 0; n < 90_000; n++) append(0, n % 50)
  expect(counts.times).toBe(8)
})

test('a client that takes new ids all the time gets its share of what is left, and others theirs', () => {
  const { append, clock, limit } = setUp(1000)
  const admitted = Array.from({ length: 3000 }, (_, n) => append(n % 2, n, '192.0.2.6')).filter(Boolean)
  expect(admitted).toHaveLength(601)
  expect([append(0, 5000, '192.0.2.1'), append(1, 5001, '192.0.2.1'), append(0, 0, '192.0.2.6')]).toEqual([
    true,
    true,
    true,
  ])
  expect(append(0, 6000, '192.0.2.6')).toBe(false)
  clock.advance(86_400_000)
  expect(append(0, 6000, '192.0.2.6')).toBe(true)
  expect(limit.count()).toBe(604)
})
