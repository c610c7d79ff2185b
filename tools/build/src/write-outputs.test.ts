import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { filesUnder, writeOutputs } from './write-outputs.ts'

describe('writeOutputs', () => {
  let directory: string

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'outputs-'))
  })

  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  it('leaves exactly the given files, without leftovers of an earlier build', () => {
    writeFileSync(join(directory, 'stale.js'), 'old')
    writeOutputs(directory, [
      { path: join(directory, 'main.js'), contents: 'new' },
      { path: join(directory, 'chunks/a.js'), contents: 'a' },
    ])
    expect(filesUnder(directory)).toEqual([join(directory, 'chunks/a.js'), join(directory, 'main.js')])
    expect(readFileSync(join(directory, 'main.js'), 'utf8')).toBe('new')
  })

  it('refuses a file outside its folder and writes none before it', () => {
    expect(() => writeOutputs(directory, [{ path: join(directory, '../elsewhere.js'), contents: '' }])).toThrow(
      'outside',
    )
    expect(filesUnder(directory)).toEqual([])
  })
})
