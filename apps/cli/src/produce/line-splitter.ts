import { CliError } from '../command/cli-error.ts'

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/**
 * The lines of a byte stream, without their ends (`\n` or `\r\n`); a last line needs none. A line longer than `maxLineBytes` is an
 * error before more of it is kept.
 */
export async function* splitLines(chunks: AsyncIterable<Buffer>, maxLineBytes: number): AsyncGenerator<Buffer> {
  let rest: Buffer[] = []
  let restBytes = 0
  for await (const chunk of chunks) {
    let start = 0
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, start)
      if (end === -1) break
      const tail = chunk.subarray(start, end)
      yield withoutReturn(restBytes === 0 ? tail : Buffer.concat([...rest, tail]))
      rest = []
      restBytes = 0
      start = end + 1
    }
    if (start < chunk.length) {
      rest.push(chunk.subarray(start))
      restBytes += chunk.length - start
    }
    if (restBytes > maxLineBytes) {
      throw new CliError(`a line is longer than ${maxLineBytes} bytes`, {
        hint: 'Send whole files as one record with --whole-files, or raise --max-record.',
      })
    }
  }
  if (restBytes > 0) yield withoutReturn(Buffer.concat(rest))
}

function withoutReturn(line: Buffer): Buffer {
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line
}
