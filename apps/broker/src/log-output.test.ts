import { expect, test } from 'vitest'
import { DescriptorOutput } from './log-output.ts'

/** A pipe with room for `room` bytes at a time, or one whose reader went away. */
class Pipe {
  room = Number.POSITIVE_INFINITY
  isOpen = true
  text = ''

  write(bytes: Buffer): number {
    if (!this.isOpen) throw Object.assign(new Error('write EPIPE'), { code: 'EPIPE', errno: -32 })
    if (this.room === 0) throw Object.assign(new Error('write EAGAIN'), { code: 'EAGAIN', errno: -11 })
    const count = Math.min(this.room, bytes.length)
    this.room -= count
    this.text += bytes.toString('utf8', 0, count)
    return count
  }
}

function open(): { pipe: Pipe; output: DescriptorOutput } {
  const pipe = new Pipe()
  return { pipe, output: new DescriptorOutput(2, (bytes) => pipe.write(bytes)) }
}

test('a line that a full pipe cuts is completed before the next one', () => {
  const { pipe, output } = open()
  pipe.room = 3
  output.write('first\n')
  expect(pipe.text).toBe('fir')
  pipe.room = 1000
  output.write('second\n')
  expect(pipe.text).toBe('first\nsecond\n')
})

test('lines that find no room are counted, and the count is told once there is some', () => {
  const { pipe, output } = open()
  pipe.room = 0
  for (const line of ['kept\n', 'lost\n', 'lost too\n']) output.write(line)
  pipe.room = 1000
  output.write('last\n')
  const lines = pipe.text.split('\n')
  expect([lines[0], lines[2]]).toEqual(['kept', 'last'])
  expect(JSON.parse(lines[1]!)).toMatchObject({ level: 'warn', lines: 2, msg: 'log lines were lost' })
})

test('a reader that went away is no error, a bug is', () => {
  const { pipe, output } = open()
  pipe.isOpen = false
  expect(() => output.write('nobody reads this\n')).not.toThrow()
  const broken = new DescriptorOutput(2, () => {
    throw new TypeError('a bug')
  })
  expect(() => broken.write('x\n')).toThrow('a bug')
})
