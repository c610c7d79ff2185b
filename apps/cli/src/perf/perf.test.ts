import { type ConsumerBatch, TimeoutError } from '@millrace/client'
import { expect, test } from 'vitest'
import { ExitCode } from '../command/cli-error.ts'
import { runFake } from '../testing/fake-io.ts'
import { fakeRecord } from '../testing/fake-record.ts'

test('a topic that ends in transaction markers is read up to its end', async () => {
  let pollCount = 0
  const run = await runFake(['perf', 'consume', 't', '-o', 'json'], {
    consumer: {
      partitionsOf: () => Promise.resolve([0]),
      findOffsets: (places, spec) =>
        Promise.resolve(places.map((place) => ({ ...place, offset: spec === 'latest' ? 3n : 0n, timestamp: -1 }))),
      assign: () => undefined,
      pause: () => undefined,
      // The marker at offset 2 brings no record.
      position: () => Promise.resolve(pollCount > 1 ? 3n : 2n),
      poll: () => {
        const records = [fakeRecord({ offset: 0n }), fakeRecord({ offset: 1n })]
        const batch = { topic: 't', partition: 0, records, nextOffset: 2n } as ConsumerBatch
        return Promise.resolve(pollCount++ === 0 ? [batch] : [])
      },
    },
  })
  expect(run.exitCode).toBe(ExitCode.OK)
  expect(JSON.parse(run.stdout)).toMatchObject({ records: 2 })
  expect(pollCount).toBe(2)
})

test('a producer whose topic cannot be had is closed, or the process would not end', async () => {
  let isClosed = false
  const run = await runFake(['perf', 'produce', 't'], {
    producer: {
      ready: () => Promise.reject(new TimeoutError('no metadata', 1000)),
      close: () => {
        isClosed = true
        return Promise.resolve()
      },
    },
  })
  expect(run.exitCode).toBe(ExitCode.ERROR)
  expect(isClosed).toBe(true)
})

test('Ctrl-C ends a wait for room in the buffer, and what was sent is told', async () => {
  const ending = new AbortController()
  let readyCount = 0
  const run = await runFake(['perf', 'produce', 't', '-n', '10', '-o', 'json'], {
    signal: ending.signal,
    producer: {
      ready: () => {
        if (readyCount++ === 0) return Promise.resolve()
        ending.abort()
        return new Promise<void>(() => undefined)
      },
      send: () => Promise.resolve({ topic: 't', partition: 0, offset: 0n, timestamp: 0 }),
      post: () => false,
      flush: () => Promise.resolve(),
    },
  })
  expect(run.exitCode).toBe(ExitCode.INTERRUPTED)
  expect(JSON.parse(run.stdout)).toMatchObject({ records: 1 })
})
