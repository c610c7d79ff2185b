import type { SeededRandom } from '@millrace/base'

/** What a file may be replaced by or mixed with. */
export interface OtherContents {
  /** The same file earlier, or null if there was none. */
  readonly older: Buffer | null
  /** The file of that name of another partition, or any other file. */
  readonly foreign: Buffer
}

const EXTREMES = [
  '00',
  'ff',
  '7f',
  '80',
  '7fffffff',
  '80000000',
  'ffffffff',
  '7fffffffffffffff',
  '8000000000000000',
  '0000000000000000',
].map((hex) => Buffer.from(hex, 'hex'))
const NUMBERS = [
  '-1',
  '0',
  '1',
  '7',
  '42',
  '2147483648',
  '9007199254740991',
  '9007199254740993',
  '99999999999999999999999',
  '1e9',
  'NaN',
  '',
]
const MAX_GROWTH_BYTES = 4096

/** Damages the contents of a file in one to three ways. Null: the file is gone. */
export function mutateFile(contents: Buffer, other: OtherContents, random: SeededRandom): Buffer | null {
  let bytes: Buffer | null = Buffer.from(contents)
  for (let round = random.uint32() % 4 === 0 ? 3 : 1; round > 0 && bytes !== null; round--) {
    bytes = mutateOnce(bytes, other, random)
  }
  return bytes
}

function mutateOnce(bytes: Buffer, other: OtherContents, random: SeededRandom): Buffer | null {
  const draw = (count: number): number => random.uint32() % Math.max(1, count)
  const at = draw(bytes.length)
  const end = Math.min(bytes.length, at + 1 + draw(draw(2) === 0 ? 16 : bytes.length))
  switch (draw(14)) {
    case 0:
    case 1:
    case 2:
      if (bytes.length > 0) bytes[at]! ^= 1 << draw(8)
      return bytes
    case 3:
      EXTREMES[draw(EXTREMES.length)]!.copy(bytes, at)
      return bytes
    case 4:
      return Buffer.from(bytes.subarray(0, at))
    case 5:
      return Buffer.from(bytes.fill(draw(2) === 0 ? 0 : 0xff, at, end))
    case 6:
      // A range is lost, or comes twice, or something comes between.
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)])
    case 7:
      return Buffer.concat([
        bytes.subarray(0, end),
        bytes.subarray(at, Math.min(end, at + MAX_GROWTH_BYTES)),
        bytes.subarray(end),
      ])
    case 8:
      return Buffer.concat([bytes.subarray(0, at), random.bytes(draw(64)), bytes.subarray(at)])
    case 9:
      return Buffer.concat([bytes, draw(2) === 0 ? Buffer.alloc(draw(MAX_GROWTH_BYTES)) : random.bytes(draw(200))])
    case 10:
      return withNumber(bytes, NUMBERS[draw(NUMBERS.length)]!, draw)
    case 11:
      return draw(3) === 0 ? null : Buffer.alloc(draw(2) === 0 ? 0 : bytes.length)
    case 12:
      return Buffer.from(other.older ?? other.foreign)
    default:
      return mixed(bytes, other, draw)
  }
}

/** Text files hold numbers, separated by spaces and line breaks: another one takes the place of one of them. */
function withNumber(bytes: Buffer, number: string, draw: (count: number) => number): Buffer {
  const text = bytes.toString('latin1')
  const found = [...text.matchAll(/\d+/g)]
  const chosen = found[draw(found.length)]
  if (chosen === undefined) return bytes
  return Buffer.from(text.slice(0, chosen.index) + number + text.slice(chosen.index + chosen[0].length), 'latin1')
}

/** Pages of another file, where this one's were. */
function mixed(bytes: Buffer, { foreign }: OtherContents, draw: (count: number) => number): Buffer {
  if (draw(2) === 0 || bytes.length === 0) return Buffer.from(foreign)
  const start = draw(bytes.length)
  foreign.copy(bytes, start, Math.min(start, foreign.length), Math.min(foreign.length, start + 1 + draw(bytes.length)))
  return bytes
}
