import { describe, expect, it } from 'vitest'
import type { History, ShareVerdict } from '../history/operation.ts'
import { Build, delivered, records, sendStep, shareRules } from '../testing/build.ts'
import { safeProfile } from './anomaly.ts'
import { checkHistory } from './check-history.ts'

/**
 * Goal: of share groups everything is found that Kafka excludes, and nothing that it allows: after failovers, lost answers, locks that ran
 * out. The smallest bad history of each kind is with those of all others, in `check-history.test.ts`.
 */

const key = 't/0'
const kindsIn = (history: History) => checkHistory(history, safeProfile).found.map(({ kind }) => kind)

/** Two members of a group, who have polled often enough to have no old fetch under way, and three records. */
const begun = () =>
  new Build()
    .send('p', key, 'a', 0)
    .send('p', key, 'b', 1)
    .send('p', key, 'c', 2)
    .poll('r', records(key, 0, 'a', 'b', 'c'))
    .join('m', 'n')
    .wait(60_000)
    .acquire('m')
    .acquire('n')
    .acquire('m')
    .acquire('n')
    .wait(1000)

/** One of them is done with all. */
const accepted = () =>
  begun()
    .acquire('m', ...delivered(key, 0, 1, 'a', 'b', 'c'))
    .acknowledge('m', 'accept', records(key, 0, 'a', 'b', 'c'))

const later = (build: Build, count = 2) =>
  build
    .wait(500)
    .acquire('n')
    .acquire('n')
    .wait(500)
    .acquire('n', ...delivered(key, 0, count, 'a'))

describe('what a share group hands out', () => {
  it('may come again until it is done with, and is done with for good', () => {
    const history = begun()
      .acquire('m', ...delivered(key, 0, 1, 'a', 'b', 'c'))
      .acknowledge('m', 'accept', records(key, 0, 'a'))
      .acknowledge('m', 'release', records(key, 1, 'b', 'c'))
      .acquire('n', ...delivered(key, 1, 2, 'b', 'c'))
      .acknowledge('n', 'reject', records(key, 1, 'b'))
      .acknowledge('n', 'release', records(key, 2, 'c'))
      .acquire('m', ...delivered(key, 2, shareRules.deliveryLimit, 'c'))
      .acknowledge('m', 'release', records(key, 2, 'c'))
      .drained(key).history
    expect(kindsIn(history)).toEqual([])
  })

  it('is held to what was sent, and to what was committed', () => {
    expect(kindsIn(begun().acquire('m', ...delivered(key, 3, 1, 'nobody sent this')).history)).toEqual([
      'invented-value',
    ])
    const aborted = begun().transaction('q', [sendStep(key, 'd')], 'fail')
    expect(kindsIn(aborted.acquire('m', ...delivered(key, 3, 1, 'd')).history)).toEqual(['aborted-read'])
    expect(kindsIn(begun().acquire('m', ...delivered(key, 1, 1, 'a')).history)).toEqual([
      'inconsistent-offsets',
      'duplicate',
    ])
  })

  it.each(['accept', 'reject'] as ShareVerdict[])(
    'does not come again once it was answered that %s is taken',
    (verdict) => {
      const said = (isTaken: boolean) =>
        begun()
          .acquire('m', ...delivered(key, 0, 1, 'a'))
          .acknowledge('m', verdict, records(key, 0, 'a'), isTaken)
      expect(kindsIn(later(said(true)).history)).toEqual(['delivered-again'])
      expect(kindsIn(later(said(false)).history)).toEqual([])
    },
  )

  it('comes again if its lock may have run out before it was answered', () => {
    const late = begun()
      .acquire('m', ...delivered(key, 0, 1, 'a'))
      .wait(shareRules.lockMs)
      .acknowledge('m', 'accept', records(key, 0, 'a'))
    expect(kindsIn(later(late).history)).toEqual([])
  })

  it('may have been on its way to another one for as long as a fetch lasts, or as his program was paused', () => {
    const underWay = accepted().acquire('n', ...delivered(key, 0, 1, 'a'))
    expect(kindsIn(underWay.history)).toEqual([])
    const paused = accepted()
    paused.fault(paused.nowMs, paused.nowMs + 600, 'pause-clients')
    expect(kindsIn(later(paused).history)).toEqual([])
  })

  it('may come again from a leader that does not know that it was replaced, and from none that was killed', () => {
    const broken = (kind: string) => {
      const build = accepted()
      return build.fault(build.nowMs, build.nowMs + 300, kind)
    }
    expect(kindsIn(later(broken('cut-halves')).history)).toEqual([])
    expect(kindsIn(later(broken('kill-leader')).history)).toEqual(['delivered-again'])
  })

  it('is nobody else’s while a member surely holds it', () => {
    const both = (isTaken: boolean, counts: readonly [number, number]) =>
      begun()
        .acquire('m', ...delivered(key, 0, counts[0], 'a'))
        .acquire('n', ...delivered(key, 0, counts[1], 'a'))
        .acknowledge('m', 'release', records(key, 0, 'a'), isTaken)
        .acknowledge('n', 'release', records(key, 0, 'a'), isTaken).history
    expect(kindsIn(both(true, [1, 2]))).toEqual(['held-twice'])
    expect(kindsIn(both(true, [1, 1]))).toEqual(['held-twice'])
    // Whoever was given it before had lost it by then.
    expect(kindsIn(both(true, [2, 1]))).toEqual([])
    expect(kindsIn(both(false, [1, 2]))).toEqual([])
  })

  it('is nobody else’s either while it is refused to a member that could not have lost it', () => {
    const refused = (lateMs: number, fault: string | null) => {
      const build = begun().acquire('m', ...delivered(key, 0, 1, 'a'))
      if (fault !== null) build.fault(build.nowMs - 5000, build.nowMs - 4000, fault)
      return build
        .wait(lateMs)
        .acquire('n', ...delivered(key, 0, 2, 'a'))
        .refused('m', 'accept', records(key, 0, 'a')).history
    }
    expect(kindsIn(refused(0, null))).toEqual(['held-twice'])
    expect(kindsIn(refused(shareRules.lockMs, null))).toEqual([])
    expect(kindsIn(refused(0, 'cut-clients'))).toEqual([])
  })

  it('may be given to two where brokers are broken: who holds what is not stored', () => {
    const build = begun()
    const history = build
      .fault(build.nowMs, build.nowMs + 5, 'kill-leader')
      .acquire('m', ...delivered(key, 0, 1, 'a'))
      .acquire('n', ...delivered(key, 0, 2, 'a'))
      .acknowledge('m', 'accept', records(key, 0, 'a')).history
    expect(kindsIn(history)).toEqual([])
  })

  it('may have been given away unheard of, as often as something can have gone wrong', () => {
    const released = () =>
      begun()
        .acquire('m', ...delivered(key, 0, 1, 'a', 'b', 'c'))
        .acknowledge('m', 'release', records(key, 0, 'a', 'b', 'c'))
    expect(kindsIn(released().drained(key).history)).toEqual(['given-up-early'])
    // A fault may break off three in a row, and the end of the members a fourth: as many as were left.
    const broken = released()
    expect(
      kindsIn(
        broken
          .fault(broken.nowMs, broken.nowMs + 1)
          .wait(5)
          .drained(key).history,
      ),
    ).toEqual([])
    const unheard = accepted()
      .acquire('n')
      .send('p', key, 'd', 3)
      .poll('r', records(key, 3, 'd'))
    const struck = unheard
      .fault(unheard.nowMs, unheard.nowMs + 1)
      .wait(5)
      .drained(key).history
    expect(kindsIn(struck)).toEqual(['undelivered'])
    // Without any, too, as locks run out of what nobody comes for.
    const idle = (ms: number) =>
      begun()
        .acquire('m', ...delivered(key, 0, 2, 'a', 'b', 'c'))
        .acknowledge('m', 'release', records(key, 0, 'a', 'b', 'c'))
        .acquire('n')
        .wait(ms)
        .acquire('m')
        .acquire('n', ...delivered(key, 1, 5, 'b', 'c'))
        .drained(key).history
    expect(kindsIn(idle(0))).toEqual(['given-up-early'])
    expect(kindsIn(idle(10_000))).toEqual([])
  })

  it('is all that was there before the group was seen to be done, and no more', () => {
    expect(
      kindsIn(
        accepted()
          .drained(key)
          .send('p', key, 'd', 3)
          .poll('r', records(key, 3, 'd')).history,
      ),
    ).toEqual([])
    const missed = accepted()
      .send('p', key, 'd', 3)
      .poll('r', records(key, 3, 'd'))
      .drained(key)
    expect(kindsIn(missed.history)).toEqual(['undelivered'])
    const behind = accepted()
      .send('p', key, 'd', 3)
      .poll('r', records(key, 3, 'd'))
      .shareProgress({ key, offset: 3 })
    expect(kindsIn(behind.history)).toEqual([])
  })
})
