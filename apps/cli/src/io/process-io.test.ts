import { spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

test('output that cannot be written ends the command with words and exit code 1', () => {
  const module = join(import.meta.dirname, 'process-io.ts')
  const script = `const { processIo } = await import(${JSON.stringify(module)}); await processIo().stdout.write('text')`
  const full = openSync('/dev/full', 'w')
  try {
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', full, 'pipe'],
      encoding: 'utf8',
    })
    expect(stderr).toBe('millrace: cannot write the output: ENOSPC\n')
    expect(status).toBe(1)
  } finally {
    closeSync(full)
  }
})
