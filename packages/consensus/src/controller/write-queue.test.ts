import { describe, expect, test } from 'vitest'
import type { Outcome } from '../metadata/controller/context.ts'
import type { MetadataImage } from '../metadata/image.ts'
import { decodeBatch } from '../metadata/record-codec.ts'
import type { MetadataRecord } from '../metadata/records.ts'
import { applyRecords, emptyImage } from '../metadata/reducer.ts'
import type { Refusal } from '../raft/raft-options.ts'
import { contextOf } from '../testing/cluster.ts'
import { ControllerRequestError } from './controller-errors.ts'
import { DEFAULT_WRITE_LIMITS, NotControllerError, type WriteLimits, WriteQueue } from './write-queue.ts'

const feature = (name: string, featureLevel = 1): MetadataRecord => ({ type: 'FeatureLevelRecord', name, featureLevel })

class Scene {
  nowMs = 0
  refusal: Refusal | null = null
  readonly proposed: Buffer[] = []
  readonly faults: unknown[] = []
  image: MetadataImage = emptyImage('cluster')
  readonly queue: WriteQueue
  #committedCount = 0

  constructor(limits: Partial<WriteLimits> = {}) {
    this.queue = new WriteQueue({
      quorum: { propose: (data) => this.refusal ?? this.proposed.push(data) },
      image: this.image,
      limits: { ...DEFAULT_WRITE_LIMITS, ...limits },
      contextFor: (image) => contextOf(image),
      nowMs: () => this.nowMs,
      onFault: (error) => this.faults.push(error),
    })
  }

  write(records: readonly MetadataRecord[], atomic = true, deadlineMs = 1000): Promise<number> {
    return this.queue.submit({ atomic, deadlineMs, rule: () => ({ records, response: records.length }) })
  }

  read(): Promise<readonly string[]> {
    const rule = ({ image }: { image: MetadataImage }): Outcome<string[]> => ({
      records: [],
      response: [...image.features.keys()].sort(),
    })
    return this.queue.submit({ atomic: true, deadlineMs: 1000, rule })
  }

  commit(count = this.proposed.length - this.#committedCount): void {
    for (let step = 0; step < count; step++) {
      const { baseOffset, records } = decodeBatch(this.proposed[this.#committedCount++]!)
      expect(baseOffset).toBe(this.image.offset)
      this.image = applyRecords(this.image, records).image
    }
    this.queue.onCommitted(this.image)
  }
}

/** Whether it is settled by now, and how. */
async function stateOf<T>(promise: Promise<T>): Promise<T | 'waits' | Error> {
  const waits = (async () => {
    for (let turn = 0; turn < 5; turn++) await Promise.resolve()
    return 'waits' as const
  })()
  return Promise.race([promise.catch((error: Error) => error), waits])
}

describe('order', () => {
  test('each operation sees all before it; answers wait for what they have seen', async () => {
    const scene = new Scene()
    const first = scene.write([feature('a')])
    const read = scene.read()
    const second = scene.write([feature('b')])
    expect(await stateOf(first)).toBe('waits')
    scene.commit(1)
    expect(await stateOf(first)).toBe(1)
    expect(await stateOf(read)).toEqual(['a'])
    expect(await stateOf(second)).toBe('waits')
    scene.commit()
    expect(await stateOf(second)).toBe(1)
    expect(await stateOf(scene.read())).toEqual(['a', 'b'])
  })

  test('what the quorum has no room for goes later, in order', async () => {
    const scene = new Scene()
    scene.refusal = 'TOO_MUCH_UNCOMMITTED'
    const writes = [scene.write([feature('a')]), scene.write([feature('b')])]
    expect(scene.proposed).toEqual([])
    scene.refusal = null
    scene.queue.poll()
    expect(scene.proposed.length).toBe(2)
    scene.commit()
    expect(await Promise.all(writes)).toEqual([1, 1])
  })
})

describe('limits', () => {
  test('an atomic operation is one entry or nothing; others are split', async () => {
    const scene = new Scene({ maxEntryBytes: 100_000 })
    const many = Array.from({ length: 5000 }, (_, id) => feature(`f${id}`))
    const error = await stateOf(scene.write(many))
    expect(error).toBeInstanceOf(ControllerRequestError)
    expect(error).toMatchObject({ errorCode: 44 })
    expect(scene.queue.pending.offset).toBe(0)
    const split = scene.write(many, false)
    expect(scene.proposed.length).toBe(3)
    scene.commit(2)
    expect(await stateOf(split)).toBe('waits')
    scene.commit()
    expect(await stateOf(split)).toBe(5000)
  })

  test('while too much waits for the quorum, operations wait to begin, and some come too late', async () => {
    const scene = new Scene({ maxOutboxBytes: 10 })
    scene.refusal = 'TOO_MUCH_UNCOMMITTED'
    const first = scene.write([feature('a')])
    const patient = scene.write([feature('b')], true, 5000)
    const late = scene.write([feature('c')], true, 500)
    scene.nowMs = 600
    scene.queue.poll()
    expect(await stateOf(late)).toMatchObject({ errorCode: 7 })
    expect(scene.queue.pending.offset).toBe(1)
    scene.refusal = null
    scene.queue.poll()
    scene.commit()
    scene.commit()
    expect(await Promise.all([first, patient])).toEqual([1, 1])
    expect([...scene.image.features.keys()]).toEqual(['a', 'b'])
  })

  test('too many waiters are turned away', async () => {
    const scene = new Scene({ maxWaiting: 2 })
    const waiting = [scene.write([feature('a')]), scene.write([feature('b')])]
    expect(await stateOf(scene.write([feature('c')]))).toMatchObject({ errorCode: 7 })
    scene.commit()
    expect(await Promise.all(waiting)).toEqual([1, 1])
  })
})

describe('the end of leadership', () => {
  test('what wrote may be done; what only read, or had not begun, is not', async () => {
    const scene = new Scene({ maxOutboxBytes: 10 })
    const wrote = scene.write([feature('a')])
    const read = scene.read()
    scene.refusal = 'NOT_LEADER'
    const queued = [scene.write([feature('b')]), scene.write([feature('c')])]
    scene.queue.end()
    const ends = await Promise.all([wrote, read, ...queued, scene.read()].map((promise) => stateOf<unknown>(promise)))
    for (const end of ends) expect(end).toBeInstanceOf(NotControllerError)
    expect(ends.map((end) => (end as NotControllerError).mayBeDone)).toEqual([true, false, true, false, false])
  })

  test('a rule that fails, or records that contradict the image, change nothing and are told', async () => {
    const scene = new Scene()
    const thrown = scene.queue.submit<never>({
      atomic: true,
      deadlineMs: 1000,
      rule: () => {
        throw new TypeError('a bug')
      },
    })
    expect(await stateOf(thrown)).toMatchObject({ errorCode: -1 })
    const contradiction = scene.write([{ type: 'RemoveTopicRecord', topicId: 'x' as never }])
    expect(await stateOf(contradiction)).toMatchObject({ errorCode: -1 })
    // JSON would not even keep it, and no node could read it.
    const unknown = scene.write([{ type: 'FeatureLevelRecord', name: 'x', featureLevel: Number.NaN }])
    expect(await stateOf(unknown)).toMatchObject({ errorCode: -1 })
    expect(scene.faults.length).toBe(3)
    expect([scene.queue.pending.offset, scene.proposed.length]).toEqual([0, 0])
  })
})
