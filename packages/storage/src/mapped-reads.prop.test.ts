import { SimulatedDisk } from '@millrace/base'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Log, ReadResult } from './index.ts'
import { append, logOf, open, turns } from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

const LARGE = { segmentBytes: 1 << 24, indexIntervalBytes: 4096, retentionMs: -1 }

async function fresh(mapping: boolean) {
  const opened = await open(new SimulatedDisk({ mapping }), LARGE)
  opened.manager.createLog('topic', 0, TOPIC_ID)
  return { opened, log: logOf(opened) }
}

interface Outcome {
  readonly errorCode: number
  readonly lastOffset: number
  readonly sizeBytes: number
  readonly text: string
}

async function read(log: Log, offset: number, maxBytes: number, minOneBatch: boolean): Promise<Outcome> {
  const out = new ReadResult()
  await log.read(offset, maxBytes, log.logEndOffset, minOneBatch, out)
  const bytes = Buffer.concat(out.buffers)
  return {
    errorCode: out.errorCode,
    lastOffset: out.lastOffset,
    sizeBytes: bytes.length,
    text: bytes.toString('latin1'),
  }
}

/** Batches around the sizes of mappings, the reads of which begin before the end of one and end behind it. */
const batchBytes = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.integer({ min: 60_000, max: 70_000 }),
  fc.integer({ min: 200_000, max: 300_000 }),
)
const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('append' as const), sizeBytes: batchBytes }),
    fc.record({
      kind: fc.constant('read' as const),
      at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      maxBytes: fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 50_000, max: 400_000 })),
      minOneBatch: fc.boolean(),
    }),
  ),
  { minLength: 5, maxLength: 40 },
)

test('reads with a mapping that grows as they ask give what reads without one give', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const [mapped, plain] = await Promise.all([fresh(true), fresh(false)])
      let batchCount = 0
      for (const step of all) {
        if (step.kind === 'append') {
          const value = `${batchCount++}`.padEnd(step.sizeBytes, 'x')
          for (const { opened, log } of [mapped, plain]) {
            expect(append(log, [value])).toBe(0)
            opened.manager.flushStaged()
          }
        } else if (batchCount > 0) {
          const offset = Math.floor(step.at * batchCount)
          const found = await read(mapped.log, offset, step.maxBytes, step.minOneBatch)
          expect(found).toEqual(await read(plain.log, offset, step.maxBytes, step.minOneBatch))
          if (step.minOneBatch) expect(found.lastOffset).toBeGreaterThanOrEqual(offset)
        }
      }
      await turns()
      for (const { opened } of [mapped, plain]) await opened.manager.shutdown()
    }),
    { numRuns: 60 },
  )
})

test('who reads at the start of a log that grows has it mapped once', async () => {
  const { opened, log } = await fresh(true)
  const segment = log.segments.active
  const small = 'x'.repeat(1000)
  append(log, [small])
  opened.manager.flushStaged()
  await read(log, 0, 16 * 1024, true)
  const first = segment.mapping(1)
  for (let count = 0; count < 300; count++) append(log, [small])
  opened.manager.flushStaged()
  await read(log, 0, 16 * 1024, true)
  expect(segment.mapping(1)).toBe(first)
  await read(log, 299, 16 * 1024, true)
  expect(segment.mapping(1)!.sizeBytes).toBe(1 << 20)
  await opened.manager.shutdown()
})
