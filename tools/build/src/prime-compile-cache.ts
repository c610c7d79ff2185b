import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** A start that takes longer than this is not waited for. */
const startTimeoutMs = 20_000

/**
 * Starts and stops the built broker once, on a free port and with a directory of its own. Its launcher keeps what V8 compiled beside
 * the bundle, so the user's first start is as fast as the later ones. Resolves with why it did not work, or null: an install must not
 * fail for it.
 */
export async function primeCompileCache(launcher: string): Promise<string | null> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-prime-'))
  const child = spawn(process.execPath, [launcher, 'start', '--quiet', '--port', '0', '--data-dir', directory], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), startTimeoutMs)
  const lines = createInterface({ input: child.stdout })
  lines.once('line', () => child.kill('SIGTERM'))
  try {
    const [code, signal] = await once(child, 'exit')
    return code === 0 ? null : `it ended with ${signal ?? code}`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    clearTimeout(timer)
    lines.close()
    rmSync(directory, { recursive: true, force: true })
  }
}
