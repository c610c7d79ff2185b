import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Scenario } from './testing/scenario.ts'

const folder = new URL('./testdata/', import.meta.url)

/** `REWRITE_SCENARIOS=1` writes the transcripts anew: review the difference. */
const isRewriting = process.env.REWRITE_SCENARIOS === '1'

describe('scenarios', () => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.txt'))

  it.each(files)('%s', (name) => {
    const file = new URL(name, folder)
    const script = readFileSync(file, 'utf8')
    const transcript = new Scenario().run(script)
    if (isRewriting) writeFileSync(file, transcript)
    else expect(transcript).toBe(script)
  })
})
