import { afterAll, describe, expect, test } from 'vitest'
import { parseCase, readCorpus } from './corpus.ts'
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

describe('a file of the corpus', () => {
  test('says why, and what each connection sends', () => {
    expect(parseCase('x', '# first\n# second\n00 (6131)*3 ff\n01\n')).toEqual({
      name: 'x',
      why: 'first second',
      connections: [Buffer.from('00613161316131ff', 'hex'), Buffer.from('01', 'hex')],
    })
  })

  test.each(['00\n', '# why\n', '# why\n0\n', '# why\nxx\n', '# why\n(00)*12345678\n'])(
    'is refused without: %j',
    (text) => {
      expect(() => parseCase('x', text)).toThrow('x: ')
    },
  )
})
