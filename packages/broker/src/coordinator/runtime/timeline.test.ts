import { describe, expect, test } from 'vitest'
import { Timeline, TimelineMap } from './timeline.ts'

describe('a timeline map', () => {
  test('shows uncommitted changes in its newest state only', () => {
    const timeline = new Timeline()
    const map = new TimelineMap<string, number>(timeline)
    timeline.begin()
    map.set('a', 1)
    expect([map.get('a'), map.getCommitted('a')]).toEqual([1, undefined])
    timeline.commitThrough(1)
    expect(map.getCommitted('a')).toBe(1)
  })

  test('commits a prefix of the versions', () => {
    const timeline = new Timeline()
    const map = new TimelineMap<string, number>(timeline)
    for (let version = 1; version <= 3; version++) {
      timeline.begin()
      map.set('a', version)
    }
    timeline.commitThrough(2)
    expect([map.get('a'), map.getCommitted('a')]).toEqual([3, 2])
  })

  test('rolls back a suffix of the versions, removals too', () => {
    const timeline = new Timeline()
    const map = new TimelineMap<string, number>(timeline)
    timeline.begin()
    map.set('a', 1)
    const second = timeline.begin()
    map.delete('a')
    map.set('b', 1)
    timeline.begin()
    map.set('a', 9)
    timeline.rollbackFrom(second)
    expect([...map.entries()]).toEqual([['a', 1]])
  })

  test('makes changes final at once while no version is open', () => {
    const timeline = new Timeline()
    const map = new TimelineMap<string, number>(timeline)
    map.set('a', 1)
    expect(map.getCommitted('a')).toBe(1)
  })

  test('never takes back what is committed', () => {
    const timeline = new Timeline()
    timeline.begin()
    timeline.commitThrough(1)
    expect(() => timeline.rollbackFrom(1)).toThrow('rollback of a committed version')
    expect(() => timeline.commitThrough(2)).toThrow('never begun')
  })
})
