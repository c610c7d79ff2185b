import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runVectors } from './run-vectors.ts'
import { readVectors } from './vector-file.ts'

const good = '{"key":"YWI=","murmur2":316155434,"positive":316155434,"partitions":10,"partition":4}'
const wrong = good.replace('"partition":4', '"partition":5')

/** Folders that others made: nothing in them may be passed over in silence or end the run. */
describe('a folder of vectors', () => {
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vectors-'))
  })

  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const file = (name: string, content: string | Buffer) => writeFileSync(join(folder, name), content)

  const check = async (path = folder) => {
    const { passedCount, failures } = await runVectors(readVectors(path))
    return { passedCount, failed: failures.map(({ place }) => place) }
  }

  it('is read whatever its files are called, packed or not, and in the folders below it', async () => {
    mkdirSync(join(folder, 'deep/odd name.jsonl'), { recursive: true })
    file('a.jsonl', `\n${good}\r\n  \n${good}\n`)
    file('b.jsonl.gz', gzipSync(`${good}\n${wrong}`))
    file('packed-without-saying.jsonl', gzipSync(good))
    file('deep/odd name.jsonl/ž.jsonl', good)
    file('README.md', 'no vectors')
    file('empty.jsonl', '')
    expect(await check()).toEqual({ passedCount: 5, failed: ['b.jsonl.gz:2'] })
    expect(await check(join(folder, 'a.jsonl'))).toEqual({ passedCount: 2, failed: [] })
  })

  it('fails in each line that is no row and goes on behind it', async () => {
    file('a.jsonl', [good, '{"key":', 'null', '7', '[]', '{}', good].join('\n'))
    const failed = [2, 3, 4, 5, 6].map((line) => `a.jsonl:${line}`)
    expect(await check()).toEqual({ passedCount: 2, failed })
  })

  it('fails in each file that cannot be read and goes on with the next', async () => {
    file('cut.jsonl.gz', gzipSync(good).subarray(0, 30))
    symlinkSync(join(folder, 'nowhere'), join(folder, 'gone.jsonl'))
    file('z.jsonl', good)
    expect(await check()).toEqual({ passedCount: 1, failed: ['cut.jsonl.gz', 'gone.jsonl'] })
  })

  it('without vectors, or that does not exist, is an error', () => {
    expect(() => readVectors(folder)).toThrow(`in ${folder}`)
    file('empty.jsonl', '\n')
    expect(() => readVectors(folder)).toThrow('no rows')
    expect(() => readVectors(join(folder, 'absent'))).toThrow('ENOENT')
  })
})
