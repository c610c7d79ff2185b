import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { LogLevel } from './process-logger.ts'

/** Method: the broker in a process of its own, since pipes, signals and exit codes are what is looked at. */
let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-run-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true })
})

function start(settings: readonly (readonly [string, string])[], logLevel: LogLevel) {
  const options = { configFile: null, settings, logLevel, quiet: false }
  const module = JSON.stringify(join(import.meta.dirname, 'run-broker.ts'))
  const script = `const { runBroker } = await import(${module}); process.exitCode = await runBroker(${JSON.stringify(options)})`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] })
  const seen = { words: '' }
  child.stderr.on('data', (chunk) => {
    seen.words += chunk
  })
  return { child, seen }
}

test('a broker goes on when nobody reads its standard output, and stops in order', async () => {
  const settings = [
    ['port', '0'],
    ['log.dirs', directory],
  ] as const
  const { child, seen } = start(settings, 'debug')
  child.stdout.destroy()
  // Log lines wait until the broker serves and has tried to say so.
  let isTold = false
  child.stderr.on('data', () => {
    if (isTold || !seen.words.includes('nobody reads standard output')) return
    isTold = true
    child.kill('SIGTERM')
  })
  const [code] = await once(child, 'close')
  expect(seen.words).toContain('"msg":"stopping"')
  expect(code).toBe(0)
}, 60_000)

test('an unknown setting ends the start with the code of wrong usage and says which one was meant', async () => {
  const { child, seen } = start([['num.partitons', '3']], 'info')
  const [code] = await once(child, 'close')
  expect(code).toBe(2)
  expect(seen.words).toBe('millrace: command line: unknown setting num.partitons; did you mean num.partitions?\n')
}, 60_000)
