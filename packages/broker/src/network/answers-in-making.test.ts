import { describe, expect, test } from 'vitest'
import { TurnQueue } from '../handlers/turn-queue.ts'
import { type AnswerInMaking, type AnswerStarter, AnswersInMaking } from './answers-in-making.ts'

const MIB = 1024 * 1024
/** Of a slice: 94 KiB. */
const ELEMENTS = 500

/** A bound of 8 MiB, and turns that are run by hand. */
function setUp() {
  let scheduled: (() => void)[] = []
  const turns = new TurnQueue((callback) => scheduled.push(callback))
  const making = new AnswersInMaking(32 * MIB, turns.next)
  /** Lets so many turns of the loop go by. */
  const run = async (count = 1000): Promise<void> => {
    for (let turn = 0; turn < count; turn++) {
      for (let round = 0; round < 10; round++) await Promise.resolve()
      const callbacks = scheduled
      scheduled = []
      for (const callback of callbacks) callback()
    }
  }
  /** Makes an answer of so many slices, and then ends it if it is told to. */
  const make = (sliceCount: number) => {
    const answer = making.open()
    const state = { answer, slices: 0, made: false }
    const work = async (): Promise<void> => {
      for (; state.slices < sliceCount && !answer.isOver; state.slices++) {
        await answer.next(turns.next)
        if (!answer.isOver) answer.grow(ELEMENTS)
      }
      state.made = true
    }
    return { state, work: work() }
  }
  return { making, run, make, turns }
}

function starter(clientAddress: string, onRoom: () => void): AnswerStarter {
  return { context: { clientAddress }, onRoomForAnswer: onRoom }
}

describe('answers in the making', () => {
  test('stay within their bound, but for the one that began first, and all are finished', async () => {
    const { making, run, make } = setUp()
    const made = Array.from({ length: 40 }, () => make(100))
    let mostBytes = 0
    let rounds = 0
    while (made.some(({ state }) => !state.answer.isOver)) {
      await run(1)
      mostBytes = Math.max(mostBytes, making.usedBytes)
      // Encoded, one after the other.
      made.find(({ state }) => state.made && !state.answer.isOver)?.state.answer.end()
      expect(++rounds).toBeLessThan(10_000)
    }
    await Promise.all(made.map(({ work }) => work))
    expect(making.usedBytes).toBe(0)
    // 100 slices are 10 MB; all 40 answers would be 400.
    expect(mostBytes).toBeLessThan(making.maxBytes + 101 * ELEMENTS * 200)
  })

  test('a small one need not wait for large ones', async () => {
    const { run, make } = setUp()
    const large = Array.from({ length: 20 }, () => make(100))
    await run()
    expect(large.filter(({ state }) => state.made)).toHaveLength(1)
    const small = make(1)
    await run(200)
    expect(small.state.made).toBe(true)
    for (const { state } of large) state.answer.end()
    await run()
    await Promise.all(large.map(({ work }) => work))
  })

  test('one that is not wanted any more frees what it took, and stops waiting', async () => {
    const { making, run, make } = setUp()
    const all = Array.from({ length: 20 }, () => make(100))
    await run()
    for (const { state } of all) state.answer.end()
    await run()
    await Promise.all(all.map(({ work }) => work))
    expect(making.usedBytes).toBe(0)
    all[0]!.state.answer.grow(1000)
    all[0]!.state.answer.end()
    expect(making.usedBytes).toBe(0)
  })
})

describe('large requests', () => {
  test('wait for room, client address by client address', async () => {
    const { making, run } = setUp()
    const requestBytes = 80 * 1024
    const begun: string[] = []
    const answers: AnswerInMaking[] = []
    const ask = (name: string, clientAddress: string): void => {
      const each = starter(clientAddress, () => start())
      const start = (): void => {
        if (!making.mayStart(each, requestBytes)) return
        begun.push(name)
        answers.push(making.begin(requestBytes)!)
      }
      start()
    }
    for (let n = 0; n < 20; n++) ask(`a${n}`, '192.0.2.6')
    ask('b', '192.0.2.1')
    const startedCount = begun.length
    expect(startedCount).toBe(8)
    await run()
    expect(begun).toHaveLength(startedCount)
    answers.shift()!.end()
    answers.shift()!.end()
    await run()
    expect(begun.slice(startedCount)).toEqual(['a8', 'b'])
    expect(making.usedBytes).toBeLessThanOrEqual(making.maxBytes)
  })

  test('small ones are not counted, and one of any size can start at last', () => {
    const { making } = setUp()
    expect(making.begin(1000)).toBeNull()
    const one = starter('192.0.2.6', () => undefined)
    expect(making.mayStart(one, 50 * MIB)).toBe(true)
  })

  test('a connection that has gone is not told of room', async () => {
    const { making, run } = setUp()
    const answer = making.open(8 * MIB)
    let told = 0
    const one = starter('192.0.2.6', () => told++)
    expect(making.mayStart(one, 100_000)).toBe(false)
    making.forget(one)
    making.forget(one)
    answer.end()
    await run()
    expect(told).toBe(0)
  })
})
