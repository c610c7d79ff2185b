import { describe, expect, it } from 'vitest'
import type { History, Outcome } from '../history/operation.ts'
import { Build, delivered, pollStep, records, sendStep } from '../testing/build.ts'
import { type AnomalyKind, anomalyKinds, type Profile, safeProfile } from './anomaly.ts'
import { checkHistory } from './check-history.ts'

/**
 * Goal: every anomaly that the checker knows is found in a history made by hand, by that name, and good histories have none.
 */

const key = 't/0'
const other = 't/1'

const kindsIn = (history: History) => checkHistory(history, safeProfile).found.map(({ kind }) => kind)

/** Three acknowledged records, read by one consumer from the beginning. */
const good = () =>
  new Build()
    .send('p', key, 'a', 0)
    .send('p', key, 'b', 1)
    .send('q', key, 'c', 2)
    .assign('r', { key, offset: 0 })
    .poll('r', records(key, 0, 'a', 'b', 'c'))

/** The same records, and a share group of two members, who have polled often enough to have no old fetch under way. */
const shared = () => good().join('m', 'n').wait(60_000).acquire('m').acquire('n').acquire('m').acquire('n').wait(1000)

/** The smallest bad history for each kind, and what else it cannot help to show. */
const bad: Record<AnomalyKind, { history: History; besides?: AnomalyKind[] }> = {
  'inconsistent-offsets': {
    history: new Build()
      .send('p', key, 'a', null)
      .send('q', key, 'b', null)
      .poll('r', records(key, 0, 'a'))
      .poll('s', records(key, 0, 'b')).history,
  },
  'stale-leader-ack': {
    history: new Build()
      .send('p', key, 'a', 0)
      .send('q', key, 'b', 0, 'info')
      .poll('r', records(key, 0, 'b')).history,
    besides: ['lost-write'],
  },
  'invented-value': { history: good().poll('r', records(key, 3, 'nobody sent this')).history },
  duplicate: { history: good().poll('r', records(key, 3, 'a')).history, besides: ['G0'] },
  'lost-write': {
    history: new Build()
      .send('p', key, 'a', 0)
      .send('p', key, 'b', 1)
      .send('p', key, 'c', 2)
      .assign('r', { key, offset: 0 })
      .poll('r', records(key, 0, 'a'))
      .poll('r', records(key, 2, 'c')).history,
    besides: ['poll-skip'],
  },
  unseen: { history: good().send('p', key, 'd', 3).history },
  'aborted-read': {
    history: good()
      .send('p', key, 'd', null, 'fail')
      .poll('r', records(key, 3, 'd')).history,
  },
  'precommitted-read': {
    history: new Build()
      .transaction('p', [sendStep(key, 'a', 0), pollStep(...records(key, 0, 'a'))])
      .poll('r', records(key, 0, 'a')).history,
  },
  'torn-transaction': {
    history: new Build()
      .transaction('p', [sendStep(key, 'a'), sendStep(other, 'b')], 'info')
      .poll('r', records(key, 0, 'a')).history,
    besides: ['unseen'],
  },
  'read-cycle': {
    history: new Build()
      .transaction('p', [sendStep(key, 'a', 0), pollStep(...records(other, 0, 'b'))], 'info')
      .transaction('q', [sendStep(other, 'b', 0), pollStep(...records(key, 0, 'a'))], 'info').history,
  },
  'future-read': {
    history: new Build().poll('r', records(key, 0, 'a')).send('p', key, 'a', 0).history,
  },
  G1c: {
    history: new Build()
      .transaction('p', [sendStep(key, 'a', 0), pollStep(...records(other, 0, 'b'))], 'info')
      .transaction('q', [sendStep(key, 'c', 1), sendStep(other, 'b', 0)], 'info')
      .poll('r', records(key, 0, 'a', 'c')).history,
  },
  G0: {
    history: new Build()
      .transaction('p', [sendStep(key, 'a', 0), sendStep(other, 'a', 1)])
      .transaction('q', [sendStep(key, 'b', 1), sendStep(other, 'b', 0)])
      .poll('r', [...records(key, 0, 'a', 'b'), ...records(other, 0, 'b', 'a')]).history,
  },
  'poll-skip': {
    history: good()
      .poll('s', records(key, 0, 'a'))
      .poll('s', records(key, 2, 'c')).history,
  },
  'int-poll-skip': {
    history: good().poll('s', [...records(key, 0, 'a'), ...records(key, 2, 'c')]).history,
  },
  'nonmonotonic-poll': {
    history: good()
      .poll('s', records(key, 0, 'a', 'b'))
      .poll('s', records(key, 1, 'b', 'c')).history,
  },
  'int-nonmonotonic-poll': {
    history: good().poll('s', [...records(key, 0, 'a', 'b'), ...records(key, 1, 'b', 'c')]).history,
  },
  'nonmonotonic-send': {
    history: new Build()
      .send('p', key, 'a', 1)
      .send('p', key, 'b', 0)
      .poll('r', records(key, 0, 'b', 'a')).history,
  },
  'int-nonmonotonic-send': {
    history: new Build()
      .transaction('p', [sendStep(key, 'a', 1), sendStep(key, 'b', 0)])
      .poll('r', records(key, 0, 'b', 'a')).history,
  },
  'int-send-skip': {
    history: new Build()
      .transaction('p', [sendStep(key, 'a', 0), sendStep(key, 'c', 2)])
      .send('q', key, 'b', 1)
      .poll('r', records(key, 0, 'a', 'b', 'c')).history,
    besides: ['G0'],
  },
  'offset-regress': {
    history: good()
      .commit('r', 'g', { key, offset: 2 })
      .commit('r', 'g', { key, offset: 3 })
      .committed('r', 'g', { key, offset: 2 }).history,
  },
  'invented-offset': {
    history: good()
      .process('r', 'g', records(key, 0, 'a'), [sendStep(other, 'A')], 'fail')
      .committed('r', 'g', { key, offset: 1 }).history,
  },
  'consume-count': {
    history: good()
      .transaction('p', [pollStep(...records(key, 0, 'a')), sendStep(other, 'A', 0)])
      .transaction('q', [pollStep(...records(key, 0, 'a')), sendStep(other, 'B', 1)])
      .poll('r', records(other, 0, 'A', 'B')).history,
  },
  'skipped-input': {
    history: good()
      .process('r', 'g', records(key, 0, 'a'), [sendStep(other, 'A', 0)])
      .process('r', 'g', records(key, 2, 'c'), [sendStep(other, 'C', 2)])
      .poll('s', [...records(other, 0, 'A'), ...records(other, 2, 'C')]).history,
  },
  'hanging-transaction': {
    history: good().lastOffsets('o', { key, offset: 5 }).ends('o', { key, offset: 3 }).history,
  },
  undelivered: {
    history: shared()
      .acquire('m', ...delivered(key, 0, 1, 'a', 'b', 'c'))
      .acknowledge('m', 'accept', records(key, 0, 'a', 'b', 'c'))
      .send('p', key, 'd', 3)
      .poll('r', records(key, 3, 'd'))
      .drained(key).history,
  },
  'given-up-early': {
    history: shared()
      .acquire('m', ...delivered(key, 0, 1, 'a', 'b', 'c'))
      .acknowledge('m', 'accept', records(key, 0, 'a', 'b'))
      .acknowledge('m', 'release', records(key, 2, 'c'))
      .shareProgress({ key, offset: 3 }).history,
  },
  'delivered-again': {
    history: shared()
      .acquire('m', ...delivered(key, 0, 1, 'a'))
      .acknowledge('m', 'accept', records(key, 0, 'a'))
      .wait(500)
      .acquire('n')
      .acquire('n')
      .wait(500)
      .acquire('n', ...delivered(key, 0, 2, 'a')).history,
  },
  'held-twice': {
    history: shared()
      .acquire('m', ...delivered(key, 0, 1, 'a'))
      .acquire('n', ...delivered(key, 0, 2, 'a'))
      .acknowledge('m', 'accept', records(key, 0, 'a'))
      .acknowledge('n', 'accept', records(key, 0, 'a'), false).history,
  },
  overdelivered: { history: shared().acquire('m', ...delivered(key, 0, 6, 'a')).history },
  'watermark-regress': { history: good().ends('r', { key, offset: 3 }).ends('r', { key, offset: 2 }).history },
  'stale-read': { history: good().read('s', key, 'b').history },
  stuck: {
    history: good().send('p', key, 'd', null, 'info').wait(40_000).send('p', key, 'e', null, 'info').history,
  },
}

describe('the checker of chaos histories', () => {
  it.each(anomalyKinds)('finds %s', (kind) => {
    const { history, besides = [] } = bad[kind]
    expect(kindsIn(history).sort()).toEqual([kind, ...besides].sort())
  })

  it('finds nothing in a good history, and says so', () => {
    const verdict = checkHistory(good().read('s', key, 'c').history, safeProfile)
    expect(verdict).toMatchObject({ isGood: true, found: [], invalid: [] })
    expect(verdict.outcomes).toMatchObject({ send: { ok: 3, fail: 0, info: 0 } })
  })

  it('allows the gaps that control records leave', () => {
    expect(
      kindsIn(
        good()
          .poll('s', [...records(key, 0, 'a', 'b', 'c')])
          .send('p', key, 'd', 7)
          .poll('s', records(key, 7, 'd')).history,
      ),
    ).toEqual([])
  })

  it('allows a send of unknown outcome to be there or not', () => {
    const history = good().send('p', key, 'd', null, 'info').send('p', key, 'e', null, 'info')
    expect(kindsIn(history.poll('r', records(key, 3, 'e')).history)).toEqual([])
  })

  it('takes an unsure transaction as committed once any of it was read', () => {
    const steps = [sendStep(key, 'a'), sendStep(other, 'b')]
    expect(kindsIn(new Build().transaction('p', steps, 'info').history)).toEqual([])
    const read = [...records(key, 0, 'a'), ...records(other, 0, 'b')]
    expect(kindsIn(new Build().transaction('p', steps, 'info').poll('r', read).history)).toEqual([])
  })

  it('counts an input once, whether or not the outcome of what processed it is known', () => {
    const once = () => good().process('r', 'g', records(key, 0, 'a', 'b', 'c'), [sendStep(other, 'A', 0)], 'info')
    const again = () => once().process('s', 'g', records(key, 0, 'a', 'b', 'c'), [sendStep(other, 'B', 2)])
    expect(kindsIn(again().poll('r', records(other, 2, 'B')).history)).toEqual([])
    const both = [...records(other, 0, 'A'), ...records(other, 2, 'B')]
    expect(kindsIn(again().poll('r', both).history)).toEqual(['consume-count'])
    // Another group has all of them for itself.
    const others = once().process('s', 'h', records(key, 0, 'a', 'b', 'c'), [sendStep(other, 'B', 2)])
    expect(kindsIn(others.poll('r', both).history)).toEqual([])
  })

  it('takes no input for processed by a transaction that did not happen', () => {
    const history = (outcome: Outcome) =>
      good()
        .process('r', 'g', records(key, 0, 'a'), [sendStep(other, 'A')], outcome)
        .process('r', 'g', records(key, 1, 'b', 'c'), [sendStep(other, 'B', 2)])
        .poll('s', records(other, 2, 'B')).history
    expect(kindsIn(history('fail'))).toEqual(['skipped-input'])
    expect(kindsIn(history('info'))).toEqual(['skipped-input'])
  })

  it('does not ask for inputs behind the place to which a group has come', () => {
    const history = good()
      .process('r', 'g', records(key, 0, 'a'), [sendStep(other, 'A', 0)])
      .poll('s', records(other, 0, 'A')).history
    expect(kindsIn(history)).toEqual([])
  })

  it('holds offsets that go with a transaction to what is held of commits', () => {
    const processed = (outcome: Outcome) =>
      good()
        .commit('r', 'g', { key, offset: 0 })
        .process('r', 'g', records(key, 0, 'a', 'b', 'c'), [sendStep(other, 'A', 0)], outcome)
        .poll('s', records(other, 0, 'A'))
    expect(kindsIn(processed('ok').committed('r', 'g', { key, offset: 3 }).history)).toEqual([])
    expect(kindsIn(processed('ok').committed('r', 'g', { key, offset: 0 }).history)).toEqual(['offset-regress'])
    expect(kindsIn(processed('info').committed('r', 'g', { key, offset: 0 }).history)).toEqual([])
    expect(kindsIn(processed('info').committed('r', 'g', { key, offset: 3 }).history)).toEqual([])
  })

  it('knows no offset of a commit that had not begun', () => {
    const history = good().committed('r', 'g', { key, offset: 3 }).commit('r', 'g', { key, offset: 3 }).history
    expect(kindsIn(history)).toEqual(['invented-offset'])
  })

  it('calls a transaction hanging by the last look at both ends alone', () => {
    const looks = (...committed: number[]) => {
      const build = good()
      for (const offset of committed) build.lastOffsets('o', { key, offset: 5 }).ends('o', { key, offset })
      return build.history
    }
    expect(kindsIn(looks(3, 5))).toEqual([])
    expect(kindsIn(looks(3, 4))).toEqual(['hanging-transaction'])
    // The end may have moved since.
    expect(kindsIn(good().ends('o', { key, offset: 3 }).lastOffsets('o', { key, offset: 5 }).history)).toEqual([])
  })

  it('lets a consumer jump after partitions moved, and not without', () => {
    const moved = good()
      .subscribe('s', 'g')
      .poll('s', records(key, 2, 'c'))
      .poll('s', records(key, 0, 'a'), true)
    expect(kindsIn(moved.history)).toEqual([])
    const stayed = good()
      .subscribe('s', 'g')
      .poll('s', records(key, 2, 'c'))
      .poll('s', records(key, 0, 'a'))
    expect(kindsIn(stayed.history)).toEqual(['nonmonotonic-poll'])
  })

  it('holds the first poll to the place that was assigned', () => {
    const history = good()
      .assign('s', { key, offset: 1 })
      .poll('s', records(key, 2, 'c')).history
    expect(kindsIn(history)).toEqual(['poll-skip'])
  })

  it('tells a lost record from one that nobody read as far as', () => {
    const history = good().send('p', key, 'd', 3).send('p', key, 'e', 4).history
    expect(kindsIn(history)).toEqual(['unseen'])
  })

  it('allows a committed offset of a commit whose outcome is unknown, and no other', () => {
    const promised = good().commit('r', 'g', { key, offset: 3 }).commit('r', 'g', { key, offset: 1 }, 'info')
    expect(kindsIn(promised.committed('r', 'g', { key, offset: 1 }).history)).toEqual([])
    expect(kindsIn(promised.committed('r', 'g').history)).toEqual(['offset-regress'])
  })

  it('compares watermarks of one observer only, and only where one answer was before the other question', () => {
    expect(kindsIn(good().ends('r', { key, offset: 3 }).ends('s', { key, offset: 2 }).history)).toEqual([])
  })

  it('does not call it stuck while something is broken, or while nobody asks', () => {
    const broken = good().fault(5, 60_000).wait(10).send('p', key, 'd', null, 'info').wait(40_000)
    expect(kindsIn(broken.send('p', key, 'e', null, 'info').history)).toEqual([])
    expect(
      kindsIn(
        good()
          .wait(60_000)
          .send('p', key, 'd', 3)
          .poll('r', records(key, 3, 'd')).history,
      ),
    ).toEqual([])
  })

  it('judges by the profile', () => {
    const weak: Profile = { ...safeProfile, acks: '1', isIdempotent: false, mustReadNewest: false }
    const verdict = (kind: AnomalyKind, profile: Profile) => checkHistory(bad[kind].history, profile).isGood
    expect(verdict('lost-write', safeProfile)).toBe(false)
    expect(verdict('duplicate', weak)).toBe(true)
    expect(verdict('stale-read', weak)).toBe(true)
    expect(verdict('stale-read', safeProfile)).toBe(false)
    expect(verdict('G0', safeProfile)).toBe(true)
  })

  it('says that a run proves nothing without faults, without traffic, or where most of it failed', () => {
    expect(checkHistory(good().noFaults().history, safeProfile)).toMatchObject({
      isGood: false,
      invalid: ['no fault met any traffic'],
    })
    expect(checkHistory(new Build().history, safeProfile).invalid).toHaveLength(2)
    const failing = new Build().send('p', key, 'a', 0).poll('r', records(key, 0, 'a'))
    for (const value of ['b', 'c', 'd']) failing.send('p', key, value, null, 'info')
    expect(checkHistory(failing.history, safeProfile).invalid).toHaveLength(1)
  })
})
