import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

/** Method: processes of their own, since their streams and signals are what is looked at. `io` is theirs. */
function nodeArguments(script: string): string[] {
  const module = JSON.stringify(join(import.meta.dirname, 'process-io.ts'))
  return ['--input-type=module', '-e', `const io = (await import(${module})).processIo(); ${script}`]
}

test('output that cannot be written ends the command with words and exit code 1', () => {
  const full = openSync('/dev/full', 'w')
  try {
    const { status, stderr } = spawnSync(process.execPath, nodeArguments("await io.stdout.write('text')"), {
      stdio: ['ignore', full, 'pipe'],
      encoding: 'utf8',
    })
    expect(stderr).toBe('millrace: cannot write the output: ENOSPC\n')
    expect(status).toBe(1)
  } finally {
    closeSync(full)
  }
})

test('a write that its reader does not see any more is known as such when it resolves', async () => {
  const script = `
    process.stdin.resume()
    await new Promise((resolve) => process.stdin.once('end', resolve))
    await io.stdout.write('nobody reads this')
    process.stderr.write(JSON.stringify([io.stdout.isClosed, io.signal.aborted]))`
  const child = spawn(process.execPath, nodeArguments(script), { stdio: 'pipe' })
  let words = ''
  child.stderr.on('data', (chunk) => {
    words += chunk
  })
  child.stdout.destroy()
  await once(child.stdout, 'close')
  child.stdin.end()
  const [code] = await once(child, 'close')
  expect(code).toBe(0)
  expect(JSON.parse(words)).toEqual([true, true])
}, 30_000)

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s ends the wait for input, with what came so far',
  async (signal) => {
    const script = `
    let text = ''
    process.stderr.write('reading')
    for await (const chunk of io.stdin) {
      text += chunk
      process.stderr.write('.')
    }
    await io.stdout.write(text)`
    const child = spawn(process.execPath, nodeArguments(script), { stdio: 'pipe' })
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
    })
    let progress = ''
    child.stderr.on('data', (chunk) => {
      progress += chunk
      if (progress === 'reading') child.stdin.write('first\n')
      if (progress === 'reading.') child.kill(signal)
    })
    const [code] = await once(child, 'close')
    expect(progress).toBe('reading.')
    expect({ code, text }).toEqual({ code: 0, text: 'first\n' })
  },
  30_000,
)
