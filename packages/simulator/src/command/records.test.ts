import { describe, expect, it } from 'vitest'
import { mutations } from '../mutations/mutations.ts'
import { withHunts } from './records.ts'

const [first, second] = mutations
const PAGE = `# Head

<!-- defects: written by --mutations --record -->
| ${second!.name} | consensus | C1 | 7 | 7 | abc |
| a defect of long ago | consensus | C1 | 7 | 7 | abc |
<!-- end of defects -->

Foot
`

describe('withHunts', () => {
  it('adds rows in the order of the defects, keeps others, and drops those of defects that are no more', () => {
    const page = withHunts(PAGE, [{ mutation: first!, seedCount: 12, seed: 5, invariant: 'C2' }], 'def')
    const rows = page.split('\n').filter((line) => line.startsWith('| '))
    expect(rows.slice(2)).toEqual([
      `| ${first!.name} | consensus | C2 | 5 | 12 | def |`,
      `| ${second!.name} | consensus | C1 | 7 | 7 | abc |`,
    ])
    expect(page.startsWith('# Head\n\n<!--')).toBe(true)
    expect(page.endsWith('-->\n\nFoot\n')).toBe(true)
  })

  it('replaces a row, and says so where nothing was found', () => {
    const page = withHunts(PAGE, [{ mutation: second!, seedCount: 1_000, seed: null, invariant: null }], 'def')
    expect(page).toContain(`| ${second!.name} | consensus | nothing | – | 1000 | def |`)
    expect(page).not.toContain('abc |')
  })

  it('refuses a page without the table', () => {
    expect(() => withHunts('# Head', [], 'def')).toThrow('no table')
  })
})
