import { describe, expect, it } from 'vitest'
import { World } from '../world/world.ts'
import { GroupGhost } from './group-ghost.ts'
import { RecordGhost } from './record-ghost.ts'

describe('GroupGhost', () => {
  it('finds two owners of a partition in one generation (G1)', () => {
    const ghost = new GroupGhost(new World(1))
    ghost.onAssigned('a', 3, [0, 1])
    ghost.onAssigned('b', 3, [2])
    ghost.onAssigned('b', 4, [1, 2])
    expect(() => ghost.onAssigned('c', 3, [1])).toThrow('G1')
  })

  it('finds a generation that goes back (G1)', () => {
    const ghost = new GroupGhost(new World(1))
    ghost.onAssigned('a', 3, [0])
    expect(() => ghost.onAssigned('a', 2, [0])).toThrow('G1')
  })

  it('finds a committed offset that is lost (G2)', () => {
    const world = new World(1)
    const ghost = new GroupGhost(world)
    const at = (ms: number, offset: number) => within(world, ms, () => ghost.onCommitting(new Map([[0, offset]])))
    const first = at(1, 7)
    // Under way: it may be found, or not.
    expect(() => ghost.check(new Map(), 2)).not.toThrow()
    expect(() => ghost.check(new Map([[0, 7]]), 2)).not.toThrow()
    expect(() => ghost.check(new Map([[0, 6]]), 2)).toThrow('G2')
    within(world, 3, first)
    expect(() => ghost.check(new Map(), 2)).not.toThrow()
    expect(() => ghost.check(new Map(), 4)).toThrow('G2')
    expect(() => ghost.check(new Map([[0, 7]]), 4)).not.toThrow()
  })

  it('finds a committed offset that comes back after another was acknowledged, and bears with what nobody knows of (G2)', () => {
    const world = new World(1)
    const ghost = new GroupGhost(world)
    const at = (ms: number, offset: number) => within(world, ms, () => ghost.onCommitting(new Map([[0, offset]])))
    within(world, 2, at(1, 7))
    at(3, 8)
    within(world, 6, at(4, 9))
    expect(() => ghost.check(new Map([[0, 7]]), 5)).not.toThrow()
    expect(() => ghost.check(new Map([[0, 7]]), 7)).toThrow('G2')
    expect(() => ghost.check(new Map([[0, 8]]), 7)).not.toThrow()
    expect(() => ghost.check(new Map([[0, 9]]), 7)).not.toThrow()
    // From one that was the coordinator once: but it makes nothing up.
    expect(() => ghost.check(new Map([[0, 7]]), 7, true)).not.toThrow()
    expect(() => ghost.check(new Map(), 7, true)).not.toThrow()
    expect(() => ghost.check(new Map([[0, 6]]), 7, true)).toThrow('G2')
  })
})

/** Does something at a moment of virtual time. */
function within<Result>(world: World, ms: number, work: () => Result): Result {
  const results: Result[] = []
  world.schedule(ms - world.nowMs, 'test', -1, () => results.push(work()))
  world.step()
  return results[0]!
}

/** Three records of one producer were sent; the second was given up. */
function withThree(world = new World(1)): RecordGhost {
  const ghost = new RecordGhost(world)
  for (const value of ['0-0', '0-1', '0-2']) ghost.onSend(value)
  ghost.onAcked(0, 0, '0-0')
  ghost.onUnknown(0, '0-1')
  return ghost
}

describe('RecordGhost', () => {
  it('takes a record that was given up as stored or not, and says which', () => {
    const stored = new World(1)
    withThree(stored).checkComplete(
      0,
      new Map(Object.entries(['0-0', '0-1']).map(([at, value]) => [Number(at), value])),
    )
    expect([...stored.marks.keys()]).toEqual(['given up and stored'])
    const lost = new World(1)
    withThree(lost).checkComplete(0, new Map([[0, '0-0']]))
    expect([...lost.marks.keys()]).toEqual(['given up and not stored'])
  })

  it('finds an acknowledged record that is gone (R4)', () => {
    expect(() => withThree().checkComplete(0, new Map([[1, '0-1']]))).toThrow('R4')
  })

  it('finds an acknowledged record that is gone, also where nobody knew its offset (R4)', () => {
    const ghost = withThree()
    ghost.onAckedUnplaced(0, '0-2')
    const contents = (values: string[]) => new Map(values.map((value, offset) => [offset, value]))
    expect(() => ghost.checkComplete(0, contents(['0-0', '0-2']))).not.toThrow()
    expect(() => ghost.checkComplete(0, contents(['0-0', '0-1']))).toThrow('R4')
    expect(ghost.ackedCount).toBe(2)
  })

  it('finds what changed (R3), is there twice (R14), was given twice, or was made up (S2)', () => {
    expect(() => withThree().onConsumed(0, 0, '0-1')).toThrow('R3')
    expect(() => withThree().onConsumed(0, 5, '0-0')).toThrow('R14')
    expect(() => withThree().onAcked(0, 0, '0-2')).toThrow('R3')
    expect(() => withThree().onConsumed(0, 1, '7-7')).toThrow('S2')
  })

  it('finds records of one producer in another order than they were sent in (R14)', () => {
    const read = new Map([
      [0, '0-0'],
      [1, '0-2'],
      [2, '0-1'],
    ])
    expect(() => withThree().checkComplete(0, read)).toThrow('R14')
  })
})
