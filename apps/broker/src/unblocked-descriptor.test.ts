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

/**
 * A pipe by name, which is the test's own as well. Opened for both ways: opening it for one of them waits for the other. Where there are no
 * such pipes (Windows) it is what Node makes for a child.
 */
function openPipe(): number | 'pipe' {
  if (process.platform === 'win32') return 'pipe'
  const path = join(directory, 'pipe')
  execFileSync('mkfifo', [path])
  return openSync(path, constants.O_RDWR)
}

/** Reads so many bytes with calls that wait. Elsewhere than on Linux a pipe has one flag for all who hold it, and they may not. */
async function readPipe(pipe: number, sizeBytes: number): Promise<string> {
  const chunk = Buffer.alloc(64 * 1024)
  let text = ''
  while (text.length < sizeBytes) {
    try {
      text += chunk.toString('latin1', 0, readSync(pipe, chunk))
    } catch (error) {
      if (process.platform === 'linux' || (error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return text
}

async function readStream(child: ChildProcess, sizeBytes: number): Promise<string> {
  let text = ''
  for await (const chunk of child.stderr!) {
    text += chunk
    if (text.length >= sizeBytes) break
  }
  return text
}

test('nor does a pipe, whose other users keep it as it was', async () => {
  const pipe = openPipe()
  const child = start(pipe)
  await gotOn(child)
  const sizeBytes = LINE_COUNT * LINE_BYTES
  const text = pipe === 'pipe' ? await readStream(child, sizeBytes) : await readPipe(pipe, sizeBytes)
  child.stdin!.end()
  await once(child, 'close')
  if (pipe !== 'pipe') closeSync(pipe)
  expectAllLines(text)
}, 30_000)

test('a process whose log nobody reads ends when it is told to', async () => {
  const pipe = openPipe()
  const child = start(pipe)
  await gotOn(child)
  child.stdin!.end()
  const [code] = await once(child, 'exit')
  if (pipe === 'pipe') child.stderr!.destroy()
  else closeSync(pipe)
  expect(code).toBe(0)
}, 30_000)
