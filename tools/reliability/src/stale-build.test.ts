import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { staleSource } from './stale-build.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'millrace-stale-'))
})
afterEach(() => rmSync(root, { recursive: true }))

/** `at`: seconds since 1970. */
function put(path: string, at: number): void {
  const full = join(root, path)
  mkdirSync(dirname(full), { recursive: true })
  writeFileSync(full, '')
  utimesSync(full, at, at)
}

test('a source that was changed after the build is found; tests and what is not shipped are none', () => {
  put('packages/a/src/a.ts', 100)
  put('apps/cli/src/main.ts', 100)
  expect(staleSource(root)).toBe('apps/cli/dist/millrace.js')
  put('apps/cli/dist/millrace.js', 200)
  put('packages/a/src/a.test.ts', 300)
  put('packages/a/node_modules/b/b.ts', 300)
  put('packages/a/src/testing/c.ts', 300)
  expect(staleSource(root)).toBeNull()
  put('packages/a/src/d.ts', 300)
  expect(staleSource(root)).toBe('packages/a/src/d.ts')
})
