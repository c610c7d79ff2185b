import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

/**
 * Method: a process logs more than a pipe holds while nobody reads, and then says on standard output that it got on. What it logged is
 * read only after that.
 */
const LINE_COUNT = 5000
const LINE_BYTES = 100
const OUTPUT = JSON.stringify(join(import.meta.dirname, 'log-output.ts'))
const SCRIPT = `
  const { standardErrorOutput } = await import(${OUTPUT})
  const output = standardErrorOutput()
  for (let count = 0; count < ${LINE_COUNT}; count++) output.write(String(count).padEnd(${LINE_BYTES - 1}, '.') + '\\n')
  process.stdout.write('got on')
  process.on('exit', () => output.flush())
  process.stdin.resume()
`

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-log-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true })
})

function start(standardError: 'pipe' | number): ChildProcess {
  return spawn(process.execPath, ['--input-type=module', '-e', SCRIPT], { stdio: ['pipe', 'pipe', standardError] })
}

async function gotOn(child: ChildProcess): Promise<void> {
  const [words] = await once(child.stdout!, 'data')
  expect(String(words)).toBe('got on')
}

function expectAllLines(text: string): void {
  const lines = text.split('\n')
  expect(lines.pop()).toBe('')
  expect(lines.map((line) => Number.parseInt(line, 10))).toEqual(
    Array.from({ length: LINE_COUNT }, (_, count) => count),
  )
}

test('a socket that nobody reads does not hold the process up, and gets all lines once it is read', async () => {
  const child = start('pipe')
  await gotOn(child)
  let text = ''
  child.stderr!.on('data', (chunk) => {
    text += chunk
    if (text.length === LINE_COUNT * LINE_BYTES) child.stdin!.end()
  })
  const [code] = await once(child, 'close')
  expect(code).toBe(0)
  expectAllLines(text)
}, 30_000)

test.skipIf(process.platform !== 'linux')(
  'nor does a pipe, whose other users keep it as it was',
  async () => {
    const path = join(directory, 'pipe')
    execFileSync('mkfifo', [path])
    // For both: opening a pipe for one of them waits for the other.
    const pipe = openSync(path, constants.O_RDWR)
    const child = start(pipe)
    await gotOn(child)
    const chunk = Buffer.alloc(64 * 1024)
    let text = ''
    while (text.length < LINE_COUNT * LINE_BYTES) {
      // Waits for the process: with the flag of a descriptor that does not wait, this would fail with EAGAIN.
      text += chunk.toString('latin1', 0, readSync(pipe, chunk))
    }
    child.stdin!.end()
    await once(child, 'close')
    closeSync(pipe)
    expectAllLines(text)
  },
  30_000,
)

test.skipIf(process.platform !== 'linux')(
  'a process whose log nobody reads ends when it is told to',
  async () => {
    const path = join(directory, 'pipe')
    execFileSync('mkfifo', [path])
    const pipe = openSync(path, constants.O_RDWR)
    const child = start(pipe)
    await gotOn(child)
    child.stdin!.end()
    const [code] = await once(child, 'close')
    closeSync(pipe)
    expect(code).toBe(0)
  },
  30_000,
)
