import { expect, test } from 'vitest'
import { DescriptorOutput } from './log-output.ts'

/** A pipe with room for `room` bytes at a time, or one whose reader went away. */
class Pipe {
  room = Number.POSITIVE_INFINITY
  isOpen = true
  text = ''
  callCount = 0

  write(bytes: Buffer): number {
    this.callCount++
    if (!this.isOpen) throw Object.assign(new Error('write EPIPE'), { code: 'EPIPE', errno: -32 })
    if (this.room === 0) throw Object.assign(new Error('write EAGAIN'), { code: 'EAGAIN', errno: -11 })
    const count = Math.min(this.room, bytes.length)
    this.room -= count
    this.text += bytes.toString('utf8', 0, count)
    return count
  }
}

function open(maxWaitingBytes = 1000) {
  const pipe = new Pipe()
  const retries: (() => void)[] = []
  const pauses: number[] = []
  const output = new DescriptorOutput({
    writeBytes: (bytes) => pipe.write(bytes),
    retryLater: (callback) => retries.push(callback),
    pause: (ms) => pauses.push(ms),
    maxWaitingBytes,
  })
  const retry = (): void => {
    for (const callback of retries.splice(0)) callback()
  }
  return { pipe, output, retries, retry, pauses }
}

test('a line is written when it is logged', () => {
  const { pipe, output, retries } = open()
  output.write('first\n')
  output.write('second\n')
  expect([pipe.text, pipe.callCount, retries.length]).toEqual(['first\nsecond\n', 2, 0])
})

test('lines that find no room wait, in order, and are written when there is some, without another line', () => {
  const { pipe, output, retry, retries } = open()
  pipe.room = 3
  for (const line of ['first\n', 'second\n', 'third\n']) output.write(line)
  expect([pipe.text, retries.length]).toEqual(['fir', 1])
  retry()
  expect([pipe.text, retries.length]).toEqual(['fir', 1])
  pipe.room = 1000
  retry()
  expect([pipe.text, retries.length]).toEqual(['first\nsecond\nthird\n', 0])
})

test('what waits is bounded; lines above the bound are counted, and the count is told once there is room', () => {
  const { pipe, output, retry } = open(20)
  pipe.room = 0
  for (const line of ['kept 1\n', 'kept 2\n', 'lost, since it is long\n', 'lost too, as it is long\n'])
    output.write(line)
  pipe.room = 1000
  retry()
  const lines = pipe.text.split('\n')
  expect(lines.slice(0, 2)).toEqual(['kept 1', 'kept 2'])
  expect(JSON.parse(lines[2]!)).toMatchObject({ level: 'warn', lines: 2, msg: 'log lines were lost' })
  output.write('last\n')
  expect(pipe.text.split('\n').slice(3)).toEqual(['last', ''])
})

test('many lines that waited are written in few calls, each small enough for a pipe to take it whole', () => {
  const { pipe, output, retry } = open(1 << 20)
  pipe.room = 0
  const line = `${'x'.repeat(99)}\n`
  for (let count = 0; count < 1000; count++) output.write(line)
  pipe.callCount = 0
  pipe.room = Number.POSITIVE_INFINITY
  retry()
  expect(pipe.text).toBe(line.repeat(1000))
  expect(pipe.callCount).toBe(Math.ceil(1000 / 40))
})

test('a line that is longer than what may wait is written all the same', () => {
  const { pipe, output, retry } = open(20)
  pipe.room = 10
  const line = `${'long '.repeat(20)}\n`
  output.write(line)
  pipe.room = 1000
  retry()
  expect(pipe.text).toBe(line)
})

test('a reader that went away is no error and is not asked again and again, a bug is one', () => {
  const { pipe, output, retries } = open()
  pipe.isOpen = false
  expect(() => output.write('nobody reads this\n')).not.toThrow()
  expect(retries).toHaveLength(0)
  pipe.isOpen = true
  output.write('somebody reads this\n')
  expect(pipe.text).toBe('nobody reads this\nsomebody reads this\n')
  const broken = new DescriptorOutput({
    writeBytes: () => {
      throw new TypeError('a bug')
    },
    retryLater: () => undefined,
    pause: () => undefined,
    maxWaitingBytes: 1000,
  })
  expect(() => broken.write('x\n')).toThrow('a bug')
})

test('at the end, what waits is written as long as it is taken, and a reader that takes nothing is not waited for', () => {
  const { pipe, output, pauses } = open()
  pipe.room = 0
  output.write('last words\n')
  output.flush()
  const stalledMs = pauses.reduce((sum, ms) => sum + ms, 0)
  expect(stalledMs).toBeGreaterThan(100)
  expect(stalledMs).toBeLessThan(1000)
  pipe.room = 4
  output.flush()
  expect(pipe.text).toBe('last')
  pipe.room = 1000
  output.flush()
  expect(pipe.text).toBe('last words\n')
})
