import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { parseCase, readCorpus, writeCase } from './corpus.ts'
import { replayCase } from './replay-case.ts'
import { StallWatch } from './stall-watch.ts'

const watch = new StallWatch()
afterAll(() => watch.stop())

describe('what once did harm', () => {
  test.each(readCorpus())('does none any more: $name', { timeout: 60_000 }, async (found) => {
    // Once for the code to get warm: how long a turn takes means nothing before.
    await replayCase(found, watch)
    expect(await replayCase(found, watch), found.why).toEqual([])
  })
})

test('a case whose bytes are not understood as it says is found', { timeout: 60_000 }, async () => {
  // ApiVersions, which is answered and closes nothing.
  const text = '# why\n= answered 2\n= closed 1\n0000000a 0012 0000 00000001 ffff\n'
  await replayCase(parseCase('x', text), watch)
  expect(await replayCase(parseCase('x', text), watch)).toEqual([
    '1 answers, not 2',
    '0 connections closed, not 1',
    '1 answers, not 2',
    '0 connections closed, not 1',
  ])
})

describe('a find', () => {
  test('is kept in a form that can be read again, whatever it is called', () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-corpus-'))
    try {
      const sent = [Buffer.from('0102', 'hex'), Buffer.from('ff', 'hex')]
      expect(writeCase('found', 'Error: x\n    at y (z:1)\n    at w', sent, folder)).toBe('found.hex')
      expect(readCorpus(folder)).toMatchObject([{ why: 'Error: x at y (z:1) at w', connections: sent }])
      expect(writeCase('large', 'x', [Buffer.alloc(1 << 20)], folder)).toBeNull()
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('a file of the corpus', () => {
  test('says why, and what each connection sends', () => {
    const connections = [Buffer.from('00613161316131ff', 'hex'), Buffer.from('01', 'hex')]
    const expected = { name: 'x', why: 'first second', connections, answered: null, closed: null }
    expect(parseCase('x', '# first\n# second\n00 (6131)*3 ff\n01\n')).toEqual(expected)
    expect(parseCase('x', '# first second\n= answered 2\n= closed 0\n00 (6131)*3 ff\n01\n')).toEqual({
      ...expected,
      answered: 2,
      closed: 0,
    })
  })

  test.each(['00\n', '# why\n', '# why\n0\n', '# why\nxx\n', '# why\n(00)*12345678\n', '# why\n= lost 1\n00\n'])(
    'is refused without: %j',
    (text) => {
      expect(() => parseCase('x', text)).toThrow('x: ')
    },
  )
})
