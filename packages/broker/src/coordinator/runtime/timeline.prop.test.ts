import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Timeline, TimelineMap } from './timeline.ts'

const key = fc.constantFrom('a', 'b', 'c')
const command = fc.oneof(
  fc.record({ type: fc.constant('set' as const), key, value: fc.nat(9) }),
  fc.record({ type: fc.constant('delete' as const), key }),
  fc.record({ type: fc.constant('begin' as const) }),
  fc.record({ type: fc.constant('commit' as const), share: fc.nat(100) }),
  fc.record({ type: fc.constant('rollback' as const), share: fc.nat(100) }),
)

// The model keeps a whole copy of the map for each version: what a rollback or a committed read must give is one of them.
test('a timeline map equals a model that copies the map for each version', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const timeline = new Timeline()
      const map = new TimelineMap<string, number>(timeline)
      let newest = new Map<string, number>()
      /** State at the end of each version up to the committed one, then of each open version but the newest. */
      let committed = new Map<string, number>()
      let open: { version: number; before: Map<string, number> }[] = []
      for (const each of commands) {
        if (each.type === 'begin') open.push({ version: timeline.begin(), before: new Map(newest) })
        else if (each.type === 'set') {
          map.set(each.key, each.value)
          newest.set(each.key, each.value)
        } else if (each.type === 'delete') {
          expect(map.delete(each.key)).toBe(newest.delete(each.key))
        } else if (open.length > 0) {
          const slot = each.share % open.length
          const { version, before } = open[slot]!
          if (each.type === 'commit') {
            timeline.commitThrough(version)
            committed = slot + 1 < open.length ? open[slot + 1]!.before : new Map(newest)
            open = open.slice(slot + 1)
          } else {
            timeline.rollbackFrom(version)
            newest = new Map(before)
            // Versions that were taken back stay open, without changes.
            open = open.map((other) => (other.version > version ? { ...other, before: new Map(before) } : other))
          }
        }
        if (!timeline.isOpen) committed = new Map(newest)
        expect(new Map(map.entries())).toEqual(newest)
        expect(map.size).toBe(newest.size)
        expect(new Map(map.committedEntries())).toEqual(committed)
        for (const name of ['a', 'b', 'c']) expect(map.getCommitted(name)).toBe(committed.get(name))
      }
    }),
  )
})
