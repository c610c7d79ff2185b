import { SimulatedDisk } from '@millrace/base'
import { CleanEngineError, type CleanOrder } from '@millrace/storage'
import { expect, it } from 'vitest'
import { ProcessLoop } from '../../world/process-loop.ts'
import { World } from '../../world/world.ts'
import { SimulatedCleanThread } from './clean-thread.ts'

const ORDER: CleanOrder = {
  dirty: [],
  firstDirtyOffset: 0,
  endOffset: 10,
  aborted: [],
  lastDataOffsets: [],
  laterProducers: [],
  markerEpochs: [],
  nowMs: 0,
  deleteRetentionMs: 0,
  memoryBytes: 1_000,
  loadFactor: 0.9,
  ioBufferBytes: 1_000,
  maxBytesPerSecond: Number.MAX_VALUE,
  indexIntervalBytes: 1_000,
}

function create(seed: number): { world: World; loop: ProcessLoop; thread: SimulatedCleanThread } {
  const world = new World(seed)
  const loop = new ProcessLoop(world, 0)
  const ports = { world, loop, disk: new SimulatedDisk(), random: world.stream('thread') }
  return { world, loop, thread: new SimulatedCleanThread(ports) }
}

/** Lets events happen until the promise ends; what it came to. */
async function endOf(world: World, promise: Promise<unknown>): Promise<unknown> {
  let end: unknown
  promise.then(
    (value) => {
      end = value
    },
    (error: unknown) => {
      end = error
    },
  )
  do for (let turn = 0; turn < 20; turn++) await Promise.resolve()
  while (end === undefined && world.step())
  return end
}

it('answers after the time that messages take', async () => {
  const { world, thread } = create(1)
  expect(await endOf(world, thread.index(ORDER))).toMatchObject({ kind: 'indexed', endOffset: 10 })
  expect(world.nowMs).toBeGreaterThan(0)
})

it('never answers a process that has ended', async () => {
  const { world, loop, thread } = create(1)
  const asked = thread.index(ORDER)
  loop.end()
  expect(await endOf(world, asked)).toBeUndefined()
})

it('dies now and then, and answers nothing from then on', async () => {
  const { world, thread } = create(2)
  for (let count = 0; !world.marks.has('thread of compaction died'); count++) {
    expect(count).toBeLessThan(10_000)
    await endOf(world, thread.index(ORDER))
  }
  expect(await endOf(world, thread.index(ORDER))).toBeInstanceOf(CleanEngineError)
})
