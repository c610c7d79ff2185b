import { describe, expect, it } from 'vitest'
import { GroupMember, type MemberWishes } from './group-member.ts'

function wishes(topics: readonly string[], pattern: string | null): MemberWishes {
  return { topics, pattern, serverAssignor: null, rackId: '', rebalanceTimeoutMs: 300_000 }
}

describe('what a heartbeat says of a pattern', () => {
  it('is at a join that there is none: the member may take the place of a static one that had one', () => {
    const member = new GroupMember()
    member.join()
    expect(member.heartbeat(wishes(['a'], null)).subscribedTopicRegex).toBe('')
    member.onAnswer({ memberEpoch: 1, assignment: new Map() })
    expect(member.heartbeat(wishes(['a'], null)).subscribedTopicRegex).toBeNull()
  })

  it('is that it is gone, again and again while nobody knows whether that was heard', () => {
    const member = new GroupMember()
    member.join()
    expect(member.heartbeat(wishes([], 'a.*')).subscribedTopicRegex).toBe('a.*')
    member.onAnswer({ memberEpoch: 1, assignment: new Map() })
    expect(member.heartbeat(wishes(['a'], null)).subscribedTopicRegex).toBe('')
    member.onFailure()
    expect(member.heartbeat(wishes(['a'], null)).subscribedTopicRegex).toBe('')
    member.onAnswer({ memberEpoch: 1, assignment: null })
    expect(member.heartbeat(wishes(['a'], null)).subscribedTopicRegex).toBeNull()
  })

  it('is that it is gone where the member joins anew and the group may not have noticed that it was away', () => {
    const member = new GroupMember()
    member.join()
    member.heartbeat(wishes([], 'a.*'))
    member.onAnswer({ memberEpoch: 1, assignment: new Map() })
    member.leave()
    member.join()
    expect(member.heartbeat(wishes(['a'], null)).subscribedTopicRegex).toBe('')
  })
})
