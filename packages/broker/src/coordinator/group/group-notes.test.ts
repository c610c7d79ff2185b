import { describe, expect, test } from 'vitest'
import { CoordinatorFixture } from '../testing/coordinator-fixture.ts'
import { GROUP, GroupDriver } from '../testing/group-driver.ts'
import { clientReason, namedMembers } from './group-notes.ts'

/** What was logged, since the last call, as lines of text. */
function linesOf(driver: GroupDriver): string[] {
  return driver.notes.splice(0).map(({ message, fields }) => {
    expect(fields).toMatchObject({ group: GROUP, generation: expect.any(Number), members: expect.any(Number) })
    const { reason } = fields
    return reason === undefined ? message : `${message}: ${String(reason)}`
  })
}

describe('the log tells', () => {
  test('how a group comes to its first generation, and why', () => {
    const driver = new GroupDriver()
    const [leader] = driver.stabilize([{ reason: 'first poll' }])
    expect(linesOf(driver)).toEqual([
      'group member joins: first poll',
      `group rebalance begins: member ${leader} is new; client reason: first poll`,
      'group has a new generation',
      'group assignment received from its leader',
    ])
  })

  test('who leaves, who times out and that a group is empty', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([{ sessionTimeoutMs: 60_000 }, { groupInstanceId: 'web-1' }])
    linesOf(driver)
    driver.leave({ memberId: leader!, groupInstanceId: null, reason: 'unsubscribed' })
    driver.advance(10_000)
    expect(linesOf(driver)).toEqual([
      'group member left: unsubscribed',
      `group rebalance begins: members left: ${leader}`,
      'group member removed: its session timed out',
      'group is empty',
    ])
    expect(driver.leave(follower!).memberErrors).toEqual([25])
    expect(linesOf(driver)).toEqual([])
  })

  test('which members a rebalance went on without', () => {
    const driver = new GroupDriver()
    const [leader, follower] = driver.stabilize([{}, {}].map(() => ({ sessionTimeoutMs: 100_000 })))
    driver.notes.length = 0
    driver.join({ memberId: leader! })
    driver.advance(60_000)
    const line = driver.notes.find(({ message }) => message.startsWith('group goes on without members'))
    expect(line?.fields).toMatchObject({ removed: follower, members: 1 })
  })

  test('that a static member came back, and that a group was deleted', () => {
    const driver = new GroupDriver()
    const [former] = driver.stabilize([{ groupInstanceId: 'a' }])
    driver.notes.length = 0
    const { memberId } = driver.joinAnswer(driver.join({ groupInstanceId: 'a', supportsSkippingAssignment: true }))!
    expect(driver.notes[0]?.fields).toMatchObject({ member: memberId, formerMember: former, groupInstanceId: 'a' })
    driver.leave(memberId)
    driver.commit({ topic: 1 })
    driver.notes.length = 0
    driver.step((machine, step) => machine.deleteGroup(GROUP, step))
    expect(driver.notes).toMatchObject([{ message: 'group deleted on request', fields: { offsets: 1 } }])
  })

  test('nothing of heartbeats and commits', () => {
    const driver = new GroupDriver()
    const [memberId] = driver.stabilize([{}])
    driver.notes.length = 0
    driver.heartbeat({ memberId: memberId! })
    driver.commit({ topic: 1 }, { memberId: memberId!, generationId: 1 })
    expect(driver.notes).toEqual([])
  })

  test('all this at the level of information', async () => {
    const fixture = await CoordinatorFixture.started()
    await fixture.joinAndSync('of-one')
    const line = fixture.logger.lines.find(({ message }) => message === 'group rebalance begins')
    expect(line).toMatchObject({ level: 'info', fields: { group: 'of-one', generation: 0, state: 'Empty' } })
  })
})

describe('a line', () => {
  test('holds only so much of what a client says, and of the names of members', () => {
    expect(clientReason('x'.repeat(10_000))).toHaveLength(255)
    expect(clientReason('')).toBe('not provided')
    const names = namedMembers(Array.from({ length: 1000 }, (_, slot) => `m${slot}`))
    expect(names).toBe('m0, m1, m2, m3, m4, m5, m6, m7, m8, m9 and 990 more')
  })
})
