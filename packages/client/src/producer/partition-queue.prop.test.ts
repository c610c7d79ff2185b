import { SeededRandom } from '@millrace/base'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type IdentitySource, PartitionQueue, type QueuedBatch, SendEvidence } from './partition-queue.ts'
import type { ProducerIdentity } from './producer-identity.ts'

/** Goal: whatever the network and the broker do, a partition's log has each acknowledged batch once, in the order sent. */

class TestBatch implements QueuedBatch {
  baseSequence = -1
  identity: ProducerIdentity | null = null
  place = 0
  state: QueuedBatch['state'] = 'open'
  abandoned = false
  readonly evidence = new SendEvidence()
  readonly ordinal: number
  readonly recordCount: number
  outcome: 'open' | 'stored' | 'failed' = 'open'

  constructor(ordinal: number, recordCount: number) {
    this.ordinal = ordinal
    this.recordCount = recordCount
  }
}

class CountingIdentities implements IdentitySource {
  #current: ProducerIdentity = { producerId: 7, producerEpoch: 0 }

  current(): ProducerIdentity {
    return this.#current
  }

  after(spent: ProducerIdentity): ProducerIdentity {
    if (spent.producerEpoch >= this.#current.producerEpoch) {
      this.#current = { producerId: 7, producerEpoch: spent.producerEpoch + 1 }
    }
    return this.#current
  }
}

type Verdict = 'stored' | 'duplicate' | 'out-of-order' | 'fenced'

/** One partition as Kafka keeps it: five batches remembered, contiguous sequences, epochs fenced. */
class ModelPartition {
  readonly log: number[] = []
  readonly #recent: string[] = []
  #epoch = -1
  #nextSequence = 0

  append(batch: { ordinal: number; epoch: number; sequence: number; recordCount: number }): Verdict {
    const { ordinal, epoch, sequence, recordCount } = batch
    if (epoch < this.#epoch) return 'fenced'
    if (epoch > this.#epoch) {
      if (sequence !== 0) return 'out-of-order'
      this.#epoch = epoch
      this.#nextSequence = 0
      this.#recent.length = 0
    }
    const key = `${epoch}/${sequence}/${recordCount}`
    if (this.#recent.includes(key)) return 'duplicate'
    if (sequence !== this.#nextSequence) return 'out-of-order'
    this.log.push(ordinal)
    this.#recent.push(key)
    if (this.#recent.length > 5) this.#recent.shift()
    this.#nextSequence += recordCount
    return 'stored'
  }

  /** As a broker that restored its state from a snapshot: it knows the producer's last batch only. */
  restore(): void {
    this.#recent.splice(0, this.#recent.length - 1)
  }
}

/** A request as it was when it left, since the batch may change before the broker reads it. */
interface WireRequest {
  batch: TestBatch
  ordinal: number
  epoch: number
  sequence: number
  recordCount: number
  /** Fault drawn when the broker gets to it. */
  nodeId: number
}

class Scenario {
  readonly random: SeededRandom
  readonly queue = new PartitionQueue<TestBatch>(new CountingIdentities(), 5)
  readonly broker = new ModelPartition()
  readonly batches: TestBatch[] = []
  readonly faultPercent: number
  wire: WireRequest[] = []
  leader = 1
  unsettledCount = 0

  constructor(seed: number, faultPercent: number) {
    this.random = new SeededRandom(seed)
    this.faultPercent = faultPercent
  }

  chance(percent: number): boolean {
    return this.random.uint32() % 100 < percent
  }

  produce(): void {
    const batch = new TestBatch(this.batches.length, 1 + (this.random.uint32() % 4))
    this.batches.push(batch)
    this.queue.push(batch)
  }

  send(): void {
    this.giveUpUnsettled()
    for (;;) {
      const batch = this.queue.peek(this.leader)
      if (batch === null) return
      this.queue.take(batch, this.leader)
      const { ordinal, recordCount } = batch
      const epoch = batch.identity!.producerEpoch
      this.wire.push({ batch, ordinal, recordCount, epoch, sequence: batch.baseSequence, nodeId: this.leader })
    }
  }

  /** The broker takes the oldest request and answers, or the connection breaks with all that is on it. */
  step(faults: boolean): void {
    const request = this.wire.shift()
    if (request === undefined) return
    if (faults && this.chance(this.faultPercent)) {
      this.#fault(request)
      return
    }
    this.#answer(request)
  }

  #answer(request: WireRequest): void {
    const { batch } = request
    const verdict = this.broker.append(request)
    expect(verdict).not.toBe('fenced')
    if (verdict === 'out-of-order') {
      if (batch.evidence.isStored) this.#stored(batch)
      else this.queue.onOutOfOrder(batch)
      return
    }
    this.#stored(batch)
  }

  #stored(batch: TestBatch): void {
    if (!batch.abandoned) batch.outcome = 'stored'
    for (const settled of this.queue.onStored(batch)) settled.outcome = 'stored'
  }

  /** What cannot be settled fails with an unknown outcome. */
  giveUpUnsettled(): void {
    for (const batch of this.queue.unsettled()) {
      batch.outcome = 'failed'
      this.unsettledCount++
      this.queue.giveUp(batch)
    }
  }

  #fault(request: WireRequest): void {
    const kind = this.random.uint32() % 6
    if (kind === 0) {
      // Refused before the append, to be tried again.
      this.queue.onRetriable(request.batch, false)
      this.leader = 3 - this.leader
    } else if (kind === 4) {
      // Stored, but not replicated in time.
      this.broker.append(request)
      this.queue.onRetriable(request.batch, true)
    } else if (kind === 5) {
      this.leader = 3 - this.leader
      this.broker.restore()
      this.#answer(request)
    } else if (kind === 1) {
      // Refused for good before anything was stored.
      if (!request.batch.abandoned) request.batch.outcome = 'failed'
      this.queue.giveUp(request.batch)
    } else {
      // The connection breaks: some of what was sent is stored, nobody hears which.
      const lost = [request, ...this.wire.splice(0)]
      const storedCount = this.random.uint32() % (lost.length + 1)
      for (let slot = 0; slot < storedCount; slot++) this.broker.append(lost[slot]!)
      for (const { batch } of lost) this.queue.onRetriable(batch, true)
    }
  }

  /** The delivery time of the oldest batch ends. */
  expireOldest(): void {
    const batch = this.queue.first
    if (batch === null || batch.abandoned) return
    batch.outcome = 'failed'
    if (batch.state === 'in-flight') batch.abandoned = true
    else this.queue.giveUp(batch)
  }

  drain(): void {
    for (let turn = 0; turn < 1000 && !this.queue.isEmpty; turn++) {
      this.send()
      this.step(false)
    }
  }
}

function run(seed: number, faultPercent: number, expiryPercent: number): Scenario {
  const scenario = new Scenario(seed, faultPercent)
  for (let turn = 0; turn < 120; turn++) {
    if (scenario.chance(50)) scenario.produce()
    scenario.send()
    if (scenario.chance(60)) scenario.step(true)
    if (scenario.chance(expiryPercent)) scenario.expireOldest()
  }
  scenario.drain()
  return scenario
}

function expectSound(scenario: Scenario): void {
  const { log } = scenario.broker
  expect(scenario.queue.isEmpty).toBe(true)
  for (let slot = 1; slot < log.length; slot++) expect(log[slot]!).toBeGreaterThan(log[slot - 1]!)
  const stored = new Set(log)
  for (const batch of scenario.batches) {
    expect(batch.outcome).not.toBe('open')
    if (batch.outcome === 'stored') expect(stored).toContain(batch.ordinal)
  }
}

describe('the queue of an idempotent producer', () => {
  const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 })
  const percents = fc.integer({ min: 1, max: 80 })

  test('stores acknowledged batches once and in order under failures that may be retried', () => {
    fc.assert(
      fc.property(seeds, percents, (seed, faultPercent) => expectSound(run(seed, faultPercent, 0))),
      { numRuns: 400 },
    )
  })

  test('keeps that when batches are given up with an unknown outcome', () => {
    fc.assert(
      fc.property(seeds, percents, percents, (seed, faultPercent, expiryPercent) => {
        expectSound(run(seed, faultPercent, expiryPercent))
      }),
      { numRuns: 400 },
    )
  })

  test('never has more than five batches in flight, nor batches at two brokers', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const scenario = new Scenario(seed, 30)
        for (let turn = 0; turn < 100; turn++) {
          scenario.produce()
          scenario.send()
          expect(scenario.wire.length).toBeLessThanOrEqual(5)
          expect(new Set(scenario.wire.map(({ nodeId }) => nodeId)).size).toBeLessThanOrEqual(1)
          if (scenario.chance(50)) scenario.step(true)
        }
      }),
    )
  })
})
