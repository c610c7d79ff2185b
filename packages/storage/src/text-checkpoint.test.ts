import { SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import {
  CorruptFileError,
  decodeTextCheckpoint,
  encodeTextCheckpoint,
  parseSafeInteger,
  readOffsetCheckpoint,
} from './text-checkpoint.ts'

test('a checkpoint of a log directory reads back, keyed by directory name', () => {
  const disk = new SimulatedDisk()
  const contents = encodeTextCheckpoint(['my-topic 3 4711', 'a.b_c 0 0'])
  const file = disk.openFile('/recovery-point-offset-checkpoint', { create: true })
  file.write(contents, 0, contents.length, 0)
  expect([...readOffsetCheckpoint(disk, '/recovery-point-offset-checkpoint')]).toEqual([
    ['my-topic-3', 4711],
    ['a.b_c-0', 0],
  ])
})

test('an absent or empty file has no entries', () => {
  expect(readOffsetCheckpoint(new SimulatedDisk(), '/absent').size).toBe(0)
  expect(decodeTextCheckpoint('f', Buffer.alloc(0), 3)).toEqual([])
})

test.each(['0', '0\n', '0\n1\n', '0\n1\na 0\n', '1\n0\n', '0\n2\na 0 1\n', '0\n1\na 0 1\nb 0 1\n', '\0'.repeat(20)])(
  'the contents %j are refused',
  (contents) => {
    expect(() => decodeTextCheckpoint('f', Buffer.from(contents), 3)).toThrow(CorruptFileError)
  },
)

test.each(['', '-1', '1.5', '9007199254740992', '12345678901234567', ' 1', '0x1'])(
  'the number %j is refused',
  (text) => {
    expect(() => parseSafeInteger('f', text)).toThrow(CorruptFileError)
  },
)
