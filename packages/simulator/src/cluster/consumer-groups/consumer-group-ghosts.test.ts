import type { ConsumerGroupDescription, ConsumerGroupMember } from '@millrace/client'
import { describe, expect, it } from 'vitest'
import { World } from '../../world/world.ts'
import { GroupGhost } from '../group-ghost.ts'
import { convergenceComplaint, type SettledMember } from './convergence.ts'
import { GroupLook } from './group-look.ts'
import { MembershipGhost, type SentHeartbeat } from './membership-ghost.ts'

const SESSION_MS = 6_000

/** Members that talk to a ghost, at moments of virtual time. */
class Talk {
  readonly world = new World(1)
  readonly ghost = new MembershipGhost(this.world, SESSION_MS)
  coordinator: string | null = 'node 0 in epoch 1'

  pass(ms: number): void {
    this.world.schedule(ms, 'test', -1, () => undefined)
    this.world.step()
  }

  /** A heartbeat, and the answer to it unless it is lost. */
  beat(memberId: string, memberEpoch: number, fields: Partial<SentHeartbeat>, told?: [number, string[] | null]): void {
    const sent: SentHeartbeat = {
      sentMs: this.world.nowMs,
      coordinator: this.coordinator,
      memberId,
      instanceId: null,
      memberEpoch,
      owned: memberEpoch === 0 ? [] : null,
      rebalanceTimeoutMs: memberEpoch === 0 ? 300_000 : -1,
      ...fields,
    }
    const ordinal = this.ghost.onHeartbeatSent(sent)
    if (told === undefined) return
    const [epoch, assignment] = told
    this.ghost.onHeartbeatTold(sent, ordinal, { epoch, assignment }, this.coordinator)
  }
}

describe('MembershipGhost', () => {
  it('finds a partition that is told to two members (G1)', () => {
    const talk = new Talk()
    talk.beat('a', 0, {}, [1, ['t/0', 't/1']])
    talk.beat('b', 0, {}, [2, []])
    expect(() => talk.beat('b', 2, {}, [2, ['t/1']])).toThrow('G1')
  })

  it('bears with one that was given up, and not with one that is only to be given up (G1)', () => {
    const talk = new Talk()
    talk.beat('a', 0, {}, [1, ['t/0', 't/1']])
    talk.beat('a', 1, { owned: ['t/0', 't/1'] }, [1, ['t/0']])
    talk.beat('b', 0, {}, [2, []])
    expect(() => talk.beat('b', 2, {}, [2, ['t/1']])).toThrow('G1')
    // The answer is lost, what it says is not.
    talk.beat('a', 1, { owned: ['t/0'] })
    expect(() => talk.beat('b', 2, {}, [2, ['t/1']])).not.toThrow()
  })

  it('bears with what another has whose session may be over, or whose time to give up is (G1)', () => {
    const silent = new Talk()
    silent.beat('a', 0, {}, [1, ['t/0']])
    silent.pass(SESSION_MS - 2_000)
    expect(() => silent.beat('b', 0, {}, [2, ['t/0']])).toThrow('G1')
    silent.pass(2_000)
    expect(() => silent.beat('c', 0, {}, [3, ['t/0']])).not.toThrow()
    const slow = new Talk()
    slow.beat('a', 0, { rebalanceTimeoutMs: 3_000 }, [1, ['t/0']])
    slow.beat('a', 1, {}, [1, []])
    slow.pass(1_000)
    slow.beat('a', 1, {}, [1, []])
    expect(() => slow.beat('b', 0, {}, [2, ['t/0']])).toThrow('G1')
    slow.pass(1_500)
    slow.beat('a', 1, {}, [1, []])
    expect(() => slow.beat('c', 0, {}, [3, ['t/0']])).not.toThrow()
  })

  it('bears with what one tells that was replaced, and with whom nobody tells anything any more', () => {
    const talk = new Talk()
    talk.beat('a', 0, {}, [1, ['t/0']])
    talk.coordinator = null
    expect(() => talk.beat('b', 0, {}, [2, ['t/0']])).not.toThrow()
    talk.coordinator = 'node 1 in epoch 2'
    talk.ghost.onRefused('a')
    expect(() => talk.beat('c', 0, {}, [3, ['t/0']])).not.toThrow()
    talk.beat('c', -1, {})
    expect(() => talk.beat('d', 0, {}, [4, ['t/0']])).not.toThrow()
  })

  it('bears with an answer that was heard so late that the member may have been thrown out meanwhile', () => {
    const talk = new Talk()
    const { coordinator } = talk
    const sent = {
      sentMs: 0,
      coordinator,
      memberId: 'a',
      instanceId: null,
      memberEpoch: 0,
      owned: [],
      rebalanceTimeoutMs: 300_000,
    }
    const ordinal = talk.ghost.onHeartbeatSent(sent)
    talk.pass(SESSION_MS)
    talk.beat('b', 0, {}, [2, ['t/0']])
    const late = { epoch: 1, assignment: ['t/0'] }
    expect(() => talk.ghost.onHeartbeatTold(sent, ordinal, late, coordinator)).not.toThrow()
    // Of this one the coordinator has heard lately.
    expect(() => talk.beat('c', 0, {}, [3, ['t/0']])).toThrow('G1')
  })

  it('finds an epoch that goes back (G1)', () => {
    const talk = new Talk()
    talk.beat('a', 0, {}, [3, []])
    expect(() => talk.beat('a', 3, {}, [2, null])).toThrow('G1')
  })

  it('knows members of the classic protocol by their joins', () => {
    const talk = new Talk()
    const sent = { sentMs: 0, coordinator: talk.coordinator }
    talk.ghost.onJoinSent('a', null, [], 300_000)
    const ordinal = talk.ghost.onSyncSent('a', null)
    talk.ghost.onSyncTold('a', ordinal, sent, { epoch: 5, assignment: ['t/0'] }, talk.coordinator)
    expect(() => talk.beat('b', 0, {}, [6, ['t/0']])).toThrow('G1')
    talk.ghost.onJoinSent('a', null, [], 300_000)
    expect(() => talk.beat('c', 0, {}, [7, ['t/0']])).not.toThrow()
    talk.ghost.onInstanceJoins('nobody')
    expect(() => talk.beat('d', 0, {}, [8, ['t/0']])).toThrow('G1')
  })

  it('lets a member read on that joins anew with what it owns, whatever an earlier generation of it was told', () => {
    const { ghost, coordinator } = new Talk()
    const ordinal = ghost.onSyncSent('a', null)
    ghost.onSyncTold('a', ordinal, { sentMs: 0, coordinator }, { epoch: 5, assignment: ['t/0'] }, coordinator)
    ghost.onRefused('a')
    ghost.onJoinSent('a', null, ['t/0'], 300_000)
    expect([...ghost.readableBy('a')!]).toEqual(['t/0'])
  })

  it('says whose commits must not be taken any more', () => {
    const talk = new Talk()
    talk.beat('a', 0, {}, [1, ['t/0', 't/1']])
    talk.beat('a', 1, {}, [1, ['t/0']])
    talk.beat('a', 1, { owned: ['t/0'] }, [1, null])
    // Under the same epoch they would be.
    expect(talk.ghost.takeVoidClaims()).toEqual([])
    talk.beat('a', 1, {}, [2, null])
    expect(talk.ghost.takeVoidClaims()).toEqual([{ memberId: 'a', epoch: 1, place: 't/1' }])
    expect(talk.ghost.takeVoidClaims()).toEqual([])
  })
})

function described(state: string, assigned: Record<string, string[]>, assignor = 'uniform'): ConsumerGroupDescription {
  const members = Object.entries(assigned).map(([memberId, places]) => {
    const assignment = places.map((place) => ({ topic: place.split('/')[0]!, partition: Number(place.split('/')[1]) }))
    return { memberId, memberEpoch: 3, assignment } as unknown as ConsumerGroupMember
  })
  return {
    groupId: 'g',
    state,
    groupEpoch: 3,
    assignmentEpoch: 3,
    assignor,
    coordinator: 0,
    members,
  }
}

function settled(memberId: string, owned: string[], topics: string[]): SettledMember {
  return { memberId, owned, isSubscribedTo: (topic) => topics.includes(topic) }
}

describe('convergenceComplaint', () => {
  const counts = new Map([
    ['t', 3],
    ['u', 1],
  ])

  function complain(assigned: Record<string, string[]>, topics: Record<string, string[]>, assignor = 'uniform') {
    const members = Object.entries(assigned).map(([id, places]) => settled(id, places, topics[id]!))
    return convergenceComplaint(described('Stable', assigned, assignor), counts, members)
  }

  it('is content with a group in which each has its part', () => {
    expect(complain({ a: ['t/0', 't/1'], b: ['t/2', 'u/0'] }, { a: ['t', 'u'], b: ['t', 'u'] })).toBeNull()
    expect(complain({ a: ['t/0', 't/1', 't/2'], b: ['u/0'] }, { a: ['t'], b: ['u'] })).toBeNull()
    expect(complain({ a: ['t/0', 't/1', 'u/0'], b: ['t/2'] }, { a: ['t', 'u'], b: ['t', 'u'] }, 'range')).toBeNull()
  })

  it('finds a partition that nobody has, or two, or one who does not want it (G6)', () => {
    const all = { a: ['t', 'u'], b: ['t', 'u'] }
    expect(complain({ a: ['t/0', 't/1'], b: ['t/2'] }, all)).toContain('u/0 has 0 owners')
    expect(complain({ a: ['t/0', 't/1'], b: ['t/1', 't/2', 'u/0'] }, all)).toContain('t/1 has 2 owners')
    expect(complain({ a: ['t/0', 't/1', 't/2'], b: ['u/0'] }, { a: ['t', 'u'], b: [] })).toContain('u')
  })

  it('finds a load that is not even (G6)', () => {
    const all = { a: ['t', 'u'], b: ['t', 'u'] }
    expect(complain({ a: ['t/0', 't/1', 'u/0'], b: ['t/2'] }, all)).toContain('2 more')
    expect(complain({ a: ['t/0', 't/1', 't/2'], b: ['u/0'] }, all, 'range')).toContain('3 more')
  })

  it('finds members that are gone, what is not what was told, and a group that is not done (G6)', () => {
    const a = settled('a', ['t/0', 't/1', 't/2', 'u/0'], ['t', 'u'])
    const full = { a: ['t/0', 't/1', 't/2', 'u/0'] }
    expect(convergenceComplaint(described('Stable', { ...full, b: [] }), counts, [a])).toContain('members')
    expect(convergenceComplaint(described('Reconciling', full), counts, [a])).toContain('Reconciling')
    expect(convergenceComplaint(described('Stable', { a: ['t/0'] }), counts, [a])).toContain('is assigned')
  })
})

describe('GroupLook', () => {
  function look(): GroupLook {
    const world = new World(1)
    const fleet = { places: [], idOf: () => 0 }
    return new GroupLook(world, new GroupGhost(world), fleet, true)
  }

  it('finds what is assigned twice, and epochs that are out of order (G1)', () => {
    expect(() => look().judge(described('Stable', { a: ['t/0'], b: ['t/0'] }), true)).toThrow('G1')
    expect(() => look().judge({ ...described('Stable', { a: [] }), assignmentEpoch: 2 }, true)).toThrow('G1')
    expect(() => look().judge({ ...described('Stable', {}), groupEpoch: 2 }, true)).toThrow('G1')
    const one = look()
    one.judge(described('Stable', {}), true)
    const before = { ...described('Stable', {}), groupEpoch: 2, assignmentEpoch: 2 }
    expect(() => one.judge(before, false)).not.toThrow()
    expect(() => one.judge(before, true)).toThrow('G1')
  })

  it('finds a commit that was refused and kept (G3)', async () => {
    const world = new World(1)
    const fleet = { places: ['t/0'], idOf: () => 0 }
    const looker = { committed: () => Promise.resolve([{ topic: 't', partition: 0, offset: 1_000_000_000n }]) }
    const one = new GroupLook(world, new GroupGhost(world), fleet, true)
    await expect(one.readCommitted(looker, () => false)).rejects.toThrow('G3')
  })
})
