import { expect, test } from 'vitest'
import { Crew } from './crew.ts'
import { ordersOf } from './orders.ts'

test('a thread that hangs is one failure, however long it takes to end, and the next order gets another thread', async () => {
  // Native code, which no termination interrupts: for many looks.
  const source = `
    import { pbkdf2Sync } from 'node:crypto'
    import { parentPort } from 'node:worker_threads'
    parentPort.on('message', () => pbkdf2Sync('a', 'b', 1_500_000, 64, 'sha512'))`
  const failures: string[] = []
  await new Crew({
    seed: 1,
    threadCount: 1,
    orders: ordersOf({ seed: 1, frames: 30_000, firstEpoch: 4 }),
    program: new URL(`data:text/javascript,${encodeURIComponent(source)}`),
    hangMs: 100,
    lookMs: 10,
    isOver: () => false,
    onProgress: () => undefined,
    onFailure: (_order, where, what) => failures.push(`${where} ${what}`),
    onDone: () => undefined,
  }).run()
  expect(failures).toEqual(['epoch 4 tells nothing for 100 ms', 'epoch 5 tells nothing for 100 ms'])
})
