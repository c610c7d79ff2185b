import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What past runs found, and what was known before: replayed first in each run, and by a unit test. */
export const CORPUS_FOLDER = join(import.meta.dirname, 'corpus')

/** A round of two dozen connections, mostly. */
const MAX_KEPT_BYTES = 192 * 1024

/** One input that once did harm. */
export interface CorpusCase {
  readonly name: string
  /** First line of the file: what it did. */
  readonly why: string
  /** What each of several connections sends, in this order. */
  readonly connections: readonly Buffer[]
  /** How many answers come, and how many connections are closed, if the file says so: bytes that nobody understands do no harm either. */
  readonly answered: number | null
  readonly closed: number | null
}

/**
 * Reads `*.hex`: lines that begin with `#` tell why, `= answered 1` and `= closed 1` what is to happen, each other line is what one
 * connection sends. A line is hex in groups separated by spaces; `(6131)*500` is a group repeated.
 */
export function readCorpus(folder = CORPUS_FOLDER): CorpusCase[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.hex'))
    .sort()
    .map((name) => parseCase(name, readFileSync(join(folder, name), 'utf8')))
}

/** See {@link readCorpus}. Throws if a line is not of that form. */
export function parseCase(name: string, text: string): CorpusCase {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const why = lines.filter((line) => line.startsWith('#')).map((line) => line.slice(1).trim())
  const expected = new Map(lines.filter((line) => line.startsWith('=')).map((line) => parseExpected(name, line)))
  const connections = lines.filter((line) => !/^[#=]/.test(line)).map((line) => parseLine(name, line))
  if (why.length === 0 || connections.length === 0) throw new Error(`${name}: says not why, or sends nothing`)
  const answered = expected.get('answered') ?? null
  return { name, why: why.join(' '), connections, answered, closed: expected.get('closed') ?? null }
}

function parseExpected(name: string, line: string): [what: string, count: number] {
  const match = /^= (answered|closed) (\d{1,7})$/.exec(line.trim())
  if (match === null) throw new Error(`${name}: ${line} is nothing that could happen`)
  return [match[1]!, Number(match[2])]
}

function parseLine(name: string, line: string): Buffer {
  const groups = line
    .trim()
    .split(/\s+/)
    .map((group) => {
      const match = /^(?:\((?<repeated>(?:[0-9a-f]{2})+)\)\*(?<count>\d{1,7})|(?<plain>(?:[0-9a-f]{2})+))$/.exec(group)
      if (match === null) throw new Error(`${name}: ${group} is no group of bytes`)
      const { repeated, count, plain } = match.groups!
      if (plain !== undefined) return Buffer.from(plain, 'hex')
      const one = Buffer.from(repeated!, 'hex')
      return Buffer.alloc(one.length * Number(count), one)
    })
  return Buffer.concat(groups)
}

/** Keeps a find. Returns the file's name, or null if it is too large to be kept: its seed has to do. */
export function writeCase(
  name: string,
  why: string,
  connections: readonly Buffer[],
  folder = CORPUS_FOLDER,
): string | null {
  if (connections.reduce((sum, bytes) => sum + bytes.length, 0) > MAX_KEPT_BYTES) return null
  mkdirSync(folder, { recursive: true })
  const lines = connections.map((bytes) => `${bytes.toString('hex')}\n`)
  // Stacks have several lines, of which each would be taken for bytes.
  const oneLine = why.replaceAll(/\s+/g, ' ')
  writeFileSync(join(folder, `${name}.hex`), `# ${oneLine}\n${lines.join('')}`)
  return `${name}.hex`
}
