import { readdirSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'

const BUILT = 'apps/cli/dist/millrace.js'
const SOURCES = ['packages', 'apps']
const SKIPPED: ReadonlySet<string> = new Set(['node_modules', 'dist', 'testing', 'testdata'])

/** A source that is newer than the bundle made of it, or the bundle where there is none; null if the bundle is the newest. */
export function staleSource(root: string): string | null {
  // Somebody else's build: nothing is known of its sources.
  if (process.env.E2E_MILLRACE !== undefined) return null
  const builtMs = statSync(join(root, BUILT), { throwIfNoEntry: false })?.mtimeMs
  if (builtMs === undefined) return BUILT
  for (const folder of SOURCES) {
    const newer = newerThan(join(root, folder), builtMs)
    if (newer !== null) return relative(root, newer)
  }
  return null
}

function newerThan(folder: string, builtMs: number): string | null {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      const newer = SKIPPED.has(entry.name) ? null : newerThan(path, builtMs)
      if (newer !== null) return newer
    } else if (/\.ts$/.test(entry.name) && !/\.(?:test|bench|fuzz)\.ts$/.test(entry.name)) {
      if (statSync(path).mtimeMs > builtMs) return path
    }
  }
  return null
}
