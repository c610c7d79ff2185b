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

  it('has the chunks in place before the entry that loads them', () => {
    const blocked = join(directory, 'chunks')
    writeFileSync(blocked, 'a file where the folder of the chunks should be')
    const files = [
      { path: join(directory, 'main.js'), contents: 'new' },
      { path: join(blocked, 'a.js'), contents: 'a' },
    ]
    expect(() => writeOutputs(directory, files)).toThrow('EEXIST')
    expect(filesUnder(directory)).toEqual([blocked])
  })

  it('refuses a file outside its folder and writes none before it', () => {
    const inside = { path: join(directory, 'main.js'), contents: '' }
    const outside = { path: join(directory, '../elsewhere.js'), contents: '' }
    expect(() => writeOutputs(directory, [inside, outside])).toThrow('outside')
    expect(filesUnder(directory)).toEqual([])
  })
})
